import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs';
import sharp from 'sharp';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readSample } from '../files/sample-images.ts';
import { GraphWriter } from '../golden/graph-writer.fixture.ts';
import { randomizeWeights, saveLayersModel } from '../golden/harness.fixture.ts';
import { prepareModel } from '../prepared-model.ts';
import type { InputSpec } from '../spec/input-spec.ts';
import { createVariants } from '../verify/variants.ts';
import { addModel } from './add.ts';
import { createContext } from './command-context.fixture.ts';
import type { CommandContext } from './command-context.ts';
import { verifyModel } from './verify.ts';

const SAMPLES = path.resolve(import.meta.dirname, '../../models/samples');
const IMAGES = ['chelsea.png', 'coffee.png', 'rocket.jpg'];

let root: string;
let images: string;
let context: CommandContext;
let printed: string[];

/** A model that looks at every pixel, so that it notices how images are resized. */
beforeAll(async () => {
  root = await mkdtemp(path.join(os.tmpdir(), 'inferql-verify-'));
  ({ context, printed } = createContext(root));
  images = path.join(root, 'images');
  await mkdir(images);
  for (const name of IMAGES) await sharp(path.join(SAMPLES, name)).resize(211).toFile(path.join(images, name));
  const model = tf.sequential({
    layers: [
      tf.layers.conv2d({ inputShape: [24, 24, 3], filters: 8, kernelSize: 3, activation: 'relu' }),
      tf.layers.flatten(),
      tf.layers.dense({ units: 4, activation: 'softmax' }),
    ],
  });
  randomizeWeights(model);
  const saved = await saveLayersModel(model);
  const source = path.join(root, 'net');
  await mkdir(source);
  await writeFile(path.join(source, 'model.json'), JSON.stringify(saved.modelJson));
  await writeFile(path.join(source, 'weights.bin'), new Uint8Array(saved.weightData));
  await addModel(source, { name: 'net', normalization: 'tf', resize: 'pillow-bilinear' }, context);
});

afterAll(() => rm(root, { recursive: true, force: true }));

/** What a notebook that prepares images so would have answered. */
async function writeAnswers(change: Partial<InputSpec>): Promise<string> {
  const model = await prepareModel({ modelDir: path.join(context.modelsDir, 'net'), stateDir: context.stateDir });
  const variants = createVariants(model, context);
  const lines = ['file,a,b,"c, d",e'];
  for (const name of IMAGES) {
    const input = { ...model.spec.input, ...change };
    const values = await variants.run(await readSample(path.join(images, name), input), input);
    lines.push([`notebook/${name}`, ...values].join(','));
  }
  await variants.close();
  const file = path.join(root, 'answers.csv');
  await writeFile(file, `${lines.join('\r\n')}\r\n`);
  printed.length = 0;
  return file;
}

/** Keeps a spec as it was in another folder of the repository, with another normalization. */
async function copyModel(name: string, normalization: string): Promise<void> {
  const folder = path.join(context.modelsDir, name);
  await cp(path.join(context.modelsDir, 'net'), folder, { recursive: true });
  const file = path.join(folder, 'model.json5');
  const text = await readFile(file, 'utf8');
  const changed = text.replace(/normalization: (?:'|")tf(?:'|")/, `normalization: ${normalization}`);
  expect(changed).not.toBe(text);
  await writeFile(file, changed);
}

test('the same answers are accepted as the same', async () => {
  const expected = await writeAnswers({});
  expect(await verifyModel('net', { images, expected }, context)).toBe(true);
  expect(printed.join('\n')).toMatch(/^same answers .*same best label on 3 of 3 images, .*0\.0000 \(resize: 'pillow-b/);
});

test.each([
  [{ resize: 'tfjs-bilinear' }, "resize: 'tfjs-bilinear'"],
  [{ resize: 'tensorflow-bilinear-antialias', cover: true }, "resize: 'tensorflow-bilinear-antialias', cover: true"],
  [{ resize: 'pillow-lanczos', shortSide: 27 }, "resize: 'pillow-lanczos', shortSide: 27"],
] as const)('another preprocessing is found: %o', async (change, description) => {
  const expected = await writeAnswers(change);
  const model = path.join(context.modelsDir, 'net');
  expect(await verifyModel(model, { images, expected }, context)).toBe(false);
  const text = printed.join('\n');
  expect(text).toMatch(/^different answers: /);
  expect(text).toContain(`best match: ${description}, normalization: 'tf': same best label on 3 of 3 images`);
  expect(text).toContain("instead of: resize: 'pillow-bilinear'");
});

test.each([
  ['wrong', "'caffe'", {}, "resize: 'pillow-bilinear', normalization: 'tf'"],
  ['order', "{ mean: [0.5], std: [0.5], order: 'bgr' }", {}, "resize: 'pillow-bilinear', normalization: 'tf'"],
  [
    'scale',
    '{ mean: [100], std: [50] }',
    { normalization: { scale: 1, mean: [100], std: [50], order: 'rgb' } },
    "resize: 'pillow-bilinear', normalization: { scale: 1, mean: [100], std: [50] }",
  ],
  [
    'both',
    "'torch'",
    { resize: 'pillow-lanczos', cover: true },
    "resize: 'pillow-lanczos', cover: true, normalization: 'tf'",
  ],
  [
    'colors',
    "'unit'",
    { normalization: { scale: 1 / 255, mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225], order: 'bgr' } },
    "resize: 'pillow-bilinear', normalization: { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225], order: 'bgr' }",
  ],
] as const)('a wrong normalization is found: %s, %s', async (name, normalization, change, description) => {
  const expected = await writeAnswers(change as Partial<InputSpec>);
  await copyModel(name, normalization);
  expect(await verifyModel(name, { images, expected }, context)).toBe(false);
  const text = printed.join('\n');
  expect(text).toContain(`best match: ${description}: same best label on 3 of 3 images`);
  expect(text).toMatch(/instead of: resize: 'pillow-bilinear', normalization: .*$/);
});

/** A model that is only code, and answers the same whatever the image. */
const CODE = `export default {
  input: { width: 24, height: 24 },
  labels: ['a', 'b', 'c', 'd'],
  load: () => ({ run: ({ count }) => ({ probabilities: Array.from({ length: count }, () => [0.1, 0.2, 0.3, 0.4]) }) }),
};`;

test('a path is compared as it is, also if a model of the repository has the same name', async () => {
  const elsewhere = path.join(root, 'elsewhere/net');
  await mkdir(elsewhere, { recursive: true });
  // The answers of the model in the repository.
  const expected = await writeAnswers({});
  await expect(verifyModel(elsewhere, { images, expected }, context)).rejects.toThrow(
    `${elsewhere} is not the folder of a model: expected model.json5 or engine.js in it`,
  );
  await writeFile(path.join(elsewhere, 'engine.js'), CODE);
  expect(await verifyModel(elsewhere, { images, expected, timeLimit: 0 }, context)).toBe(false);
  await writeFile(expected, `file\n${IMAGES.map((name) => `${name},0.1,0.2,0.3,0.4`).join('\n')}`);
  expect(await verifyModel(elsewhere, { images, expected }, context)).toBe(true);
  expect(await verifyModel(path.relative(process.cwd(), elsewhere), { images, expected }, context)).toBe(true);
});

test('a name that no model has is refused with the names that there are', async () => {
  const expected = await writeAnswers({});
  await expect(verifyModel('nets', { images, expected }, context)).rejects.toThrow(
    /^no model nets in .*; available: .*net/,
  );
});

test('a time limit ends the search, which says so', async () => {
  const expected = await writeAnswers({ resize: 'tfjs-bilinear' });
  expect(await verifyModel('net', { images, expected, timeLimit: 0 }, context)).toBe(false);
  expect(printed.join('\n')).toMatch(
    /for at most 0 s\nbest match: resize: 'pillow-bilinear', .*\nthe time limit ended/,
  );
});

test('answers that no preprocessing gives are not explained by one', async () => {
  const file = await writeAnswers({});
  const text = await readFile(file, 'utf8');
  await writeFile(file, text.replace(/^(notebook[^,]*),([^,]*),([^,]*),/gm, '$1,$3,$2,'));
  expect(await verifyModel('net', { images, expected: file }, context)).toBe(false);
  expect(printed.join('\n')).toContain('order of the classes');
});

test.each([
  ['file,a,b,c,d\nrocket.jpg,0.5,0.5', /line 2: expected a file name and 4 probabilities, .*found 2/],
  ['file,a,b,c,d\nrocket.jpg,0.5,0.5,0,x', /line 2: expected probabilities from 0 to 1, found x/],
  ['file,a,b,c,d\nrocket.jpg,7,0.5,0,0', /found 7/],
  ['file,a,b,c,d\n', /expected an image/],
  ['file,a,b,c,d\nmissing.jpg,1,0,0,0', /missing\.jpg cannot be read/],
])('answers that are wrong in themselves are refused: %j', async (text, message) => {
  const expected = path.join(root, 'wrong.csv');
  await writeFile(expected, text);
  await expect(verifyModel('net', { images, expected }, context)).rejects.toThrow(message);
});

test('a model without labels has nothing to compare', async () => {
  const folder = path.join(root, 'embedder');
  await mkdir(folder);
  await writeFile(
    path.join(folder, 'engine.js'),
    CODE.replace(/labels: .*/, "outputs: { vector: { type: 'embedding', size: 4 } },").replace(
      'probabilities',
      'vector',
    ),
  );
  const expected = path.join(root, 'without.csv');
  await writeFile(expected, 'file\nrocket.jpg\n');
  await expect(verifyModel(folder, { images, expected }, context)).rejects.toThrow(/embedder has no labels/);
});

test('a reason why onnxruntime does not run a model is printed once, however many preprocessings are tried', async () => {
  const graph = new GraphWriter();
  const pooled = graph.node('Mean', ['image', graph.ints(1, 2)]);
  const scores = graph.node('Sinh', [graph.node('MatMul', [pooled, graph.weights(3, 4)])]);
  const { modelJson, weightData } = graph.model(graph.node('Softmax', [scores]));
  const folder = path.join(root, 'tfjs-only');
  await mkdir(folder);
  await writeFile(path.join(folder, 'model.json'), JSON.stringify(modelJson));
  await writeFile(path.join(folder, 'weights.bin'), new Uint8Array(weightData));
  await addModel(folder, { normalization: 'tf' }, context);
  const expected = path.join(root, 'tfjs-only.csv');
  await writeFile(expected, 'file\nrocket.jpg,1,0,0,0\n');
  printed.length = 0;
  expect(await verifyModel('tfjs-only', { images, expected, timeLimit: 5 }, context)).toBe(false);
  expect(printed.filter((line) => line.includes('not for onnxruntime'))).toHaveLength(1);
});
