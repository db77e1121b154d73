import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import vm from 'node:vm';
import * as tf from '@tensorflow/tfjs';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import ort from 'onnxruntime-node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { addModel } from '../commands/add.ts';
import { readSample } from '../files/sample-images.ts';
import { diskLoader, largestDifference, toTensor } from '../golden/harness.fixture.ts';
import { localRunner } from '../model-process/local-runner.ts';
import { downloadTarball } from '../sources/npm.ts';
import { unpackFiles } from '../sources/tarball.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
/** Five classes, MIT: a Keras MobileNet v2 with uint8 weights, a MobileNet v2 as a graph, and a Keras Inception v3. */
const PACKAGE = {
  package: 'nsfwjs',
  version: '4.2.1',
  integrity: 'sha512-8ixL8Uk7+9Ir67yUxwtbLFZv6NgmsXsgP2oX5zNxmyTIXUfNdj6FLLVS+YI0pYlMEOExLp69ocfQznzTU9ATGw==',
};
const LABELS = ['first', 'second', 'third', 'fourth', 'fifth'];

/** Pulled once for all runs. */
const PULLED = path.join(ROOT, '.inferql/published', `${PACKAGE.package}-${PACKAGE.version}.tgz`);
let work: string;

beforeAll(async () => {
  if (!(await stat(PULLED).catch(() => undefined))) {
    await mkdir(path.dirname(PULLED), { recursive: true });
    await downloadTarball({ ...PACKAGE, file: PULLED, onProgress: () => undefined, signal: undefined });
  }
  work = await mkdtemp(path.join(tmpdir(), 'inferql-published-'));
  setWasmPaths(`${path.join(ROOT, 'node_modules/@tensorflow/tfjs-backend-wasm/dist')}/`);
  await tf.setBackend('wasm');
}, 300_000);

afterAll(() => rm(work, { recursive: true, force: true }));

/** The package wraps each file of a model as a script; this makes the converter's files of them again. */
async function unwrapModel(name: string, shards: number): Promise<string> {
  const names = Array.from({ length: shards }, (_, i) => `group1-shard${i + 1}of${shards}`);
  const wrapped = ['model', ...names].map((file) => `dist/models/${name}/${file}.min.js`);
  await unpackFiles(PULLED, work, wrapped);
  const folder = path.join(work, name);
  await mkdir(folder);
  const read = async (file: string) => {
    const module = { exports: undefined as unknown };
    vm.runInNewContext(await readFile(path.join(work, file), 'utf8'), { module, exports: {} });
    return module.exports;
  };
  await writeFile(path.join(folder, 'model.json'), JSON.stringify(await read(wrapped[0]!)));
  for (const [i, shard] of names.entries()) {
    await writeFile(path.join(folder, shard), Buffer.from((await read(wrapped[i + 1]!)) as string, 'base64'));
  }
  await writeFile(path.join(folder, 'labels.json'), JSON.stringify(LABELS));
  return folder;
}

test.each([
  ['mobilenet_v2', 1, 'tfjs-layers'],
  ['mobilenet_v2_mid', 2, 'tfjs-graph'],
  ['inception_v3', 6, 'tfjs-layers'],
] as const)(
  'the published model %s is added unchanged, converted, and agrees with tfjs within 1e-5',
  async (name, shards, format) => {
    const folder = await unwrapModel(name, shards);
    const context = { modelsDir: path.join(work, `${name}-models`), stateDir: path.join(work, `${name}-state`) };
    const added = await addModel(
      folder,
      {},
      { ...context, print: () => undefined, signal: new AbortController().signal, runner: localRunner },
    );
    expect(added).toMatchObject({ name, classCount: 5, labels: LABELS, spec: { format, engine: 'auto' } });
    const { input } = added.spec;
    const session = await ort.InferenceSession.create(added.onnxPath!, { intraOpNumThreads: 1 });
    const loader = await diskLoader(added.tfjsPath!);
    const original = format === 'tfjs-graph' ? await tf.loadGraphModel(loader) : await tf.loadLayersModel(loader);
    for (const sample of ['chelsea.png', 'coffee.png', 'rocket.jpg']) {
      const pixels = await readSample(path.join(ROOT, 'models/samples', sample), input);
      const image = new ort.Tensor('uint8', pixels, [1, input.height, input.width, input.channels]);
      const { probabilities } = await session.run({ image }, ['probabilities']);
      const expected = tf.tidy(() => (original.predict(toTensor(pixels, input)) as tf.Tensor).dataSync());
      expect(largestDifference(probabilities!.data as Float32Array, expected)).toBeLessThan(1e-5);
    }
    original.dispose();
    await session.release();
  },
);
