import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { ModelError } from '../errors.ts';
import { prepareModel } from '../prepare.ts';
import { readSample } from '../sample-images.ts';
import { SPEC_FILE } from '../spec.ts';
import { parseAnswers } from '../verify/answers.ts';
import { describeInput } from '../verify/candidates.ts';
import { type Comparison, compareAnswers, findBestInput, isSame } from '../verify/verify.ts';
import { openTrial } from './check.ts';
import { type CommandContext, requireModel } from './command-context.ts';

/**
 * Compares a model's answers with those of the notebook that it comes from. If they differ, tries the other ways to crop and
 * resize, and reports the best match.
 * @param model its name, or the folder of its spec
 * @param options.images the folder of the images that `expected` names
 * @param options.expected a CSV file: file name, then one probability per class
 * @returns true if the answers are the same
 * @throws ModelError
 */
export async function verifyModel(
  model: string,
  options: { images: string; expected: string },
  context: CommandContext,
): Promise<boolean> {
  const { stateDir, signal, print } = context;
  const prepared = await prepareModel({ modelDir: await findModel(model, context), stateDir, signal });
  const text = await readFile(options.expected, 'utf8').catch((cause: Error) => {
    throw new ModelError('SOURCE_INVALID', `${options.expected} cannot be read: ${cause.message}`, { cause });
  });
  const expected = parseAnswers(text, options.expected, prepared.labels.length);
  const trial = await openTrial(prepared, print);
  try {
    const { input } = prepared.spec;
    const verifier = {
      trial,
      read: (file: string, tried: typeof input) => readSample(inFolder(options.images, file), tried),
    };
    const comparison = await compareAnswers(verifier, expected, input);
    if (isSame(comparison)) {
      print(`same answers as ${options.expected}: ${describe(comparison)} (${describeInput(input)})`);
      return true;
    }
    print(`different answers: ${describe(comparison)} (${describeInput(input)})`);
    print('trying other ways to crop and resize');
    const best = await findBestInput(verifier, expected, input);
    const isFound = isSame(best.comparison);
    print(`best match: ${describeInput(best.input)}: ${describe(best.comparison)}`);
    print(
      isFound
        ? `put that into input of ${SPEC_FILE}, in the place of: ${describeInput(input)}`
        : 'no crop and resize explains the difference: check the normalization, the order of the classes, and the weights',
    );
    return false;
  } finally {
    await trial.close();
  }
}

async function findModel(model: string, { modelsDir }: CommandContext): Promise<string> {
  const hasSpec = await stat(path.join(model, SPEC_FILE)).catch(() => undefined);
  return hasSpec ? path.resolve(model) : requireModel(modelsDir, path.basename(model));
}

/** A name of an answer is a file of that folder, whatever folder the notebook had it in. */
const inFolder = (folder: string, file: string): string => path.join(folder, path.basename(file.replaceAll('\\', '/')));

function describe({ images, sameFirst, largest }: Comparison): string {
  return `same first answer on ${sameFirst} of ${images} images, largest difference of a probability ${largest.toFixed(4)}`;
}
