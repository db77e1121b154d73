/** Files written by Keras (keras/make.py), compared with Keras' answers to the same pixels. */
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import ort from 'onnxruntime-node';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { addModel } from '../commands/add.ts';
import { createContext } from '../commands/command-context.fixture.ts';
import type { CommandContext } from '../commands/command-context.ts';
import { openHdf5 } from '../keras/hdf5.ts';
import { readKerasFile } from '../keras/keras-file.ts';
import { toSnakeCase } from '../keras/layer-paths.ts';
import { convertModel } from '../onnx-writer/convert-model.ts';
import type { InputSpec } from '../spec/input-spec.ts';
import { readModelJson } from '../tfjs/manifest.ts';
import { readWeights } from '../tfjs/weights.ts';
import { largestDifference } from './harness.fixture.ts';

const FILES = path.join(import.meta.dirname, 'keras');
const SIZE = 12;
const INPUT: InputSpec = { width: SIZE, height: SIZE, channels: 3, kernel: 'linear', normalization: 'none' };
/** Two images, the same in make.py. */
const PIXELS = Uint8Array.from({ length: 2 * SIZE * SIZE * 3 }, (_, i) => (i * 37 + Math.floor(i / 7) * 11) % 256);

async function readFixture(name: string) {
  if (!name.endsWith('-tfjs')) return readKerasFile(path.join(FILES, name));
  const file = path.join(FILES, name, 'model.json');
  const modelJson = await readModelJson(file);
  return { modelJson, weights: await readWeights(modelJson, path.dirname(file)) };
}

describe.each(['keras2', 'keras3'])('%s', (version) => {
  test.each([`${version}.keras`, `${version}.h5`, `${version}-tfjs`, `${version}-attention.keras`])(
    '%s answers as Keras does',
    async (name) => {
      const { answers, attention } = JSON.parse(await readFile(path.join(FILES, `${version}.json`), 'utf8')) as {
        answers: number[][];
        attention: number[][];
      };
      const { modelJson, weights } = await readFixture(name);
      const { bytes } = convertModel(modelJson, weights, INPUT, { activation: 'softmax' });
      const session = await ort.InferenceSession.create(bytes, { intraOpNumThreads: 1, logSeverityLevel: 3 });
      const { probabilities } = await session.run({ image: new ort.Tensor('uint8', PIXELS, [2, SIZE, SIZE, 3]) });
      await session.release();
      expect(
        largestDifference(
          probabilities?.data as Float32Array,
          (name.includes('attention') ? attention : answers).flat(),
        ),
      ).toBeLessThan(1e-5);
    },
  );
});

describe('files of Keras', () => {
  let root: string;
  let context: CommandContext;

  beforeEach(async () => {
    root = await mkdtemp(path.join(os.tmpdir(), 'inferql-keras-files-'));
    ({ context } = createContext(root));
    await mkdir(context.modelsDir);
  });

  afterEach(() => rm(root, { recursive: true, force: true }));

  test.each(['keras3.keras', 'keras2.h5'])('%s is added unchanged', async (name) => {
    const model = await addModel(path.join(FILES, name), { name: 'own' }, context);
    expect(model).toMatchObject({ classCount: 5 });
    expect(model.spec).toMatchObject({ format: 'tfjs-layers', input: { width: SIZE, normalization: 'none' } });
  });

  test('weights without layers, and what is not a model, get an error message', async () => {
    await expect(readKerasFile(path.join(FILES, 'only.weights.h5'))).rejects.toThrow(
      /only\.weights\.h5 holds the weights of a Keras model without its layers: save the whole model/,
    );
    const text = path.join(root, 'text.h5');
    await writeFile(text, 'not HDF5');
    await expect(readKerasFile(text)).rejects.toThrow(/text\.h5 is not an HDF5 file/);
    const short = path.join(root, 'short.h5');
    await writeFile(short, (await readFile(path.join(FILES, 'keras2.h5'))).subarray(0, 30_000));
    await expect(readKerasFile(short)).rejects.toMatchObject({ code: 'SOURCE_INVALID' });
    const archive = path.join(root, 'text.keras');
    await cp(text, archive);
    await expect(readKerasFile(archive)).rejects.toThrow(/not a zip archive/);
  });

  test.each(['keras2', 'keras3'])('the scaled sums of InceptionResNetV2 answer as in %s', async (version) => {
    const { answers } = JSON.parse(await readFile(path.join(FILES, `${version}-scaled-sum.json`), 'utf8')) as {
      answers: number[][];
    };
    for (const extension of ['keras', 'h5']) {
      const file = path.join(FILES, `${version}-scaled-sum.${extension}`);
      const { onnxPath = '', spec } = await addModel(file, { name: extension }, context);
      expect(spec.input.normalization).toBe('none');
      const session = await ort.InferenceSession.create(onnxPath, { intraOpNumThreads: 1, logSeverityLevel: 3 });
      const { probabilities } = await session.run({ image: new ort.Tensor('uint8', PIXELS, [2, SIZE, SIZE, 3]) });
      await session.release();
      expect(largestDifference(probabilities?.data as Float32Array, answers.flat())).toBeLessThan(1e-5);
    }
  });

  test.each(['keras2', 'keras3'])('weights of 16 bits answer as those of 32 bits do in %s', async (version) => {
    const { answers } = JSON.parse(await readFile(path.join(FILES, `${version}-half.json`), 'utf8')) as {
      answers: number[][];
    };
    for (const extension of ['keras', 'h5']) {
      const file = path.join(FILES, `${version}-half.${extension}`);
      const { onnxPath = '', spec } = await addModel(file, { name: extension }, context);
      expect(spec.input.normalization).toBe('none');
      const session = await ort.InferenceSession.create(onnxPath, { intraOpNumThreads: 1, logSeverityLevel: 3 });
      const { probabilities } = await session.run({ image: new ort.Tensor('uint8', PIXELS, [2, SIZE, SIZE, 3]) });
      await session.release();
      expect(largestDifference(probabilities?.data as Float32Array, answers.flat())).toBeLessThan(1e-5);
    }
  });

  test('an ONNX file whose constants Keras 3 did not write is refused, and the message names the way out', async () => {
    const adding = addModel(path.join(FILES, 'keras3-without-constants.onnx'), {}, context);
    await expect(adding).rejects.toThrow(
      /lacks constants of the model, which its exporter left out: \S+\/Sub\/y:0, \S+\/Sqrt\/x:0; add the \.keras or \.h5 file itself\. If that was refused, call keras\.Model\(.*training=False\)\)\.export\('folder'\), and convert it: python -m tf2onnx\.convert --saved-model folder /,
    );
  });

  test('an ONNX file with a function that tf2onnx left out is refused, and the message names the way out', async () => {
    const adding = addModel(path.join(FILES, 'keras2-with-call.onnx'), {}, context);
    await expect(adding).rejects.toThrow(
      /left out \(PartitionedCall, .*\): add the \.keras or \.h5 file itself\. If that was refused, call tf\.config\.run_functions_eagerly\(True\) before keras\.Model\(.*training=False\)\)\.export\('folder'\), .*: python -m tf2onnx\.convert --saved-model folder /,
    );
  });

  test("zeros around values below zero count in Keras 3's own ONNX export", async () => {
    const { answers } = JSON.parse(await readFile(path.join(FILES, 'keras3-padded-pool.json'), 'utf8')) as {
      answers: number[][];
    };
    const options = { normalization: 'none' } as const;
    const { onnxPath = '' } = await addModel(path.join(FILES, 'keras3-padded-pool.onnx'), options, context);
    const session = await ort.InferenceSession.create(onnxPath, { intraOpNumThreads: 1, logSeverityLevel: 3 });
    const { probabilities } = await session.run({ image: new ort.Tensor('uint8', PIXELS, [2, SIZE, SIZE, 3]) });
    await session.release();
    expect(largestDifference(probabilities?.data as Float32Array, answers.flat())).toBeLessThan(1e-5);
  });

  test('a damaged file never causes another error than a ModelError', async () => {
    const whole = await readFile(path.join(FILES, 'keras3.h5'));
    for (let at = 64; at < whole.length; at += 1777) {
      const damaged = Buffer.from(whole);
      damaged.fill(0xa5, at, at + 24);
      const file = path.join(root, 'damaged.h5');
      await writeFile(file, damaged);
      const error = await readKerasFile(file).then(
        () => undefined,
        (caught: unknown) => caught,
      );
      if (error !== undefined) expect(error, `at ${at}`).toHaveProperty('code');
    }
    const { weights } = await readKerasFile(path.join(FILES, 'keras3.h5'));
    expect(weights.size).toBeGreaterThan(10);
  });

  test('an HDF5 file is read as a copy, so that its links cannot lead outside', async () => {
    const hdf5 = await openHdf5(path.join(FILES, 'keras2.h5'));
    expect(hdf5.keys('model_weights')).toContain('answer');
    expect(hdf5.keys('nowhere')).toBeUndefined();
    expect(() => hdf5.tensor('model_weights')).toThrow(/model_weights: is missing/);
    hdf5.close();
  });
});

test('the names of groups are those that Keras makes of classes', () => {
  const names = ['Conv2D', 'ReLU', 'PReLU', 'GlobalAveragePooling2D', 'TFOpLambda', 'BatchNormalization', 'LayerScale'];
  const expected = 'conv2d re_lu p_re_lu global_average_pooling2d tf_op_lambda batch_normalization layer_scale';
  expect(names.map(toSnakeCase).join(' ')).toBe(expected);
});
