/** The int8 version of a model of the repository, as a separate model. */
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PreparedModel } from '@inferql/converter/prepared-model';
import { prepareImage } from '@inferql/images/preprocess';
import { InferenceSession, Tensor } from 'onnxruntime-node';

const MAX_PIXELS = 64e6;

/**
 * @param modelsDir the folder of models to write it to
 * @returns its name
 */
export function writeInt8Model(name: string, modelsDir: string): string {
  const int8Name = `${name}-int8`;
  const specPath = join(modelsDir, int8Name, 'model.json5');
  cpSync(join('models', name), join(modelsDir, int8Name), { recursive: true });
  const spec = readFileSync(specPath, 'utf8').trimEnd();
  writeFileSync(specPath, `${spec.slice(0, -1)} precision: 'int8' }`);
  return int8Name;
}

/** @returns on how many of the images both versions give the same best label */
export async function countAgreement(versions: [PreparedModel, PreparedModel], images: string[]): Promise<number> {
  const sessions = await Promise.all(versions.map(({ onnxPath }) => InferenceSession.create(onnxPath!)));
  const { input } = versions[0].spec;
  let same = 0;
  for (const file of images) {
    const pixels = await prepareImage(readFileSync(file), input, MAX_PIXELS);
    const firsts = [];
    for (const session of sessions) {
      const image = new Tensor('uint8', pixels, [1, input.height, input.width, input.channels]);
      const output = (await session.run({ [session.inputNames[0]!]: image }))[session.outputNames[0]!]!;
      const scores = output.data as Float32Array;
      firsts.push(scores.indexOf(Math.max(...scores)));
    }
    same += Number(firsts[0] === firsts[1]);
  }
  return same;
}
