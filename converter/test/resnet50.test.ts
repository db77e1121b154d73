import { readFile } from 'node:fs/promises';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs';
import { setWasmPaths } from '@tensorflow/tfjs-backend-wasm';
import ort from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { readSample } from '../files/sample-images.ts';
import { diskLoader, largestDifference, toTensor } from '../golden/harness.fixture.ts';
import { type PreparedModel, prepareModel } from '../prepared-model.ts';

const ROOT = path.resolve(import.meta.dirname, '../..');
const SAMPLES = path.join(ROOT, 'models/samples');

let model: PreparedModel;
let session: ort.InferenceSession;

beforeAll(async () => {
  // The project's own state: the 95 MB are pulled once for all tests and runs.
  model = await prepareModel({ modelDir: path.join(ROOT, 'models/resnet50'), stateDir: path.join(ROOT, '.inferql') });
  session = await ort.InferenceSession.create(model.onnxPath ?? '', { intraOpNumThreads: 1 });
}, 300_000);

afterAll(() => session?.release());

async function classify(pixels: Uint8Array): Promise<Float32Array> {
  const { width, height, channels } = model.spec.input;
  const count = pixels.length / (width * height * channels);
  const image = new ort.Tensor('uint8', pixels, [count, height, width, channels]);
  const { probabilities } = await session.run({ image }, ['probabilities']);
  return probabilities?.data as Float32Array;
}

function rank(probabilities: ArrayLike<number>): number[] {
  return Array.from(probabilities, (_, i) => i).sort((a, b) => (probabilities[b] ?? 0) - (probabilities[a] ?? 0));
}

describe('ResNet50, converted from its tfjs weights', () => {
  test.each([
    ['chelsea.png', 1, [281, 282, 285]],
    ['coffee.png', 1, [504, 967, 968]],
    // tfjs with the same weights agrees: a drilling platform first (the launch tower), then the missile.
    ['rocket.jpg', 5, [657, 744]],
  ])('knows the sample %s among its first %i', async (file, places, answers) => {
    const probabilities = await classify(await readSample(path.join(SAMPLES, file), model.spec.input));
    expect(rank(probabilities).slice(0, places)).toEqual(expect.arrayContaining([expect.toBeOneOf(answers)]));
  });

  test('a batch gives each image the answer that it gets alone', async () => {
    const files = ['chelsea.png', 'coffee.png', 'rocket.jpg'].map((file) => path.join(SAMPLES, file));
    const images = await Promise.all(files.map((file) => readSample(file, model.spec.input)));
    const together = await classify(Buffer.concat(images));
    for (const [i, image] of images.entries()) {
      const alone = await classify(image);
      expect(largestDifference(together.subarray(i * 1000, (i + 1) * 1000), alone)).toBeLessThan(1e-5);
    }
  });

  test('agrees with tfjs within 1e-5', async () => {
    setWasmPaths(`${path.join(ROOT, 'node_modules/@tensorflow/tfjs-backend-wasm/dist')}/`);
    await tf.setBackend('wasm');
    const original = await tf.loadLayersModel(await diskLoader(model.tfjsPath ?? ''));
    for (const file of ['chelsea.png', 'coffee.png', 'rocket.jpg']) {
      const pixels = await readSample(path.join(SAMPLES, file), model.spec.input);
      const expected = tf.tidy(() => (original.predict(toTensor(pixels, model.spec.input)) as tf.Tensor).dataSync());
      expect(largestDifference(await classify(pixels), expected)).toBeLessThan(1e-5);
    }
    original.dispose();
  });

  test('the class activation map averages to the logit of its class', async () => {
    if ('unavailable' in model.cam) throw new Error(model.cam.unavailable);
    const pixels = await readSample(path.join(SAMPLES, 'chelsea.png'), model.spec.input);
    const { width, height, channels } = model.spec.input;
    const { probabilities, features } = await session.run({
      image: new ort.Tensor('uint8', pixels, [1, height, width, channels]),
    });
    expect(features?.dims).toEqual([1, 2048, 7, 7]);
    const bytes = await readFile(model.cam.kernelPath);
    const kernel = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
    const maps = features?.data as Float32Array;
    const logit = (index: number) => {
      let sum = 0;
      for (let c = 0; c < 2048; c++) {
        for (let at = 0; at < 49; at++) sum += ((maps[c * 49 + at] ?? 0) * (kernel[index * 2048 + c] ?? 0)) / 49;
      }
      return sum;
    };
    const values = probabilities?.data as Float32Array;
    const [first = 0, second = 0] = rank(values);
    // Softmax keeps differences of logits as ratios; what remains is the difference of two small biases.
    expect(logit(first) - logit(second)).toBeCloseTo(Math.log((values[first] ?? 0) / (values[second] ?? 1)), 0);
  });
});
