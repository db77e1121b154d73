/** The notebook snippet of docs/preprocessing.md for TensorFlow.js, run as it is printed there. */
import { execFile } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import * as tf from '@tensorflow/tfjs';
import sharp from 'sharp';
import { expect, test } from 'vitest';
import { addModel } from './add.ts';
import { filesOf, useRepository, writeFiles } from './test-repository.fixture.ts';
import { verifyModel } from './verify.ts';

const REPOSITORY = path.resolve(import.meta.dirname, '../..');
const SAMPLES = path.join(REPOSITORY, 'models/samples');
const SIDE = 24;

/** Loads the saved model, as a notebook has it. */
const PROLOGUE = `
const tf = require('@tensorflow/tfjs');
const { readFileSync } = require('node:fs');
(async () => {
const { modelTopology, weightsManifest } = JSON.parse(readFileSync('net/model.json', 'utf8'));
const weightData = new Uint8Array(readFileSync('net/weights.bin')).buffer;
const weightSpecs = weightsManifest.flatMap(({ weights }) => weights);
const model = await tf.loadLayersModel(tf.io.fromMemory({ modelTopology, weightSpecs, weightData }));
`;

const repository = useRepository();

async function readSnippet(): Promise<string> {
  const page = await readFile(path.join(REPOSITORY, 'docs/preprocessing.md'), 'utf8');
  const [, snippet] = /```js\n(\/\/ TensorFlow\.js[\s\S]*?)```/.exec(page)!;
  expect(snippet).toContain('[224, 224]');
  return snippet!.replace('[224, 224]', `[${SIDE}, ${SIDE}]`);
}

test('writes answers that verify accepts, and by which it names the right preprocessing', async () => {
  const { root, context, printed } = repository;
  await mkdir(path.join(root, 'images'));
  for (const name of ['chelsea.png', 'coffee.png', 'rocket.jpg'])
    await sharp(path.join(SAMPLES, name))
      .resize(211)
      .toFile(path.join(root, 'images', name));
  const model = tf.sequential({
    layers: [
      tf.layers.conv2d({ inputShape: [SIDE, SIDE, 3], filters: 8, kernelSize: 3, activation: 'relu' }),
      tf.layers.flatten(),
      tf.layers.dense({ units: 4, activation: 'softmax' }),
    ],
  });
  const source = await writeFiles(path.join(root, 'net'), await filesOf(model));
  await writeFile(path.join(root, 'notebook.cjs'), `${PROLOGUE}${await readSnippet()}})();\n`);
  const env = { ...process.env, NODE_PATH: path.join(REPOSITORY, 'node_modules') };
  await promisify(execFile)(process.execPath, ['notebook.cjs'], { cwd: root, env });

  const given = { images: path.join(root, 'images'), expected: path.join(root, 'answers.csv') };
  await addModel(source, { name: 'right', normalization: 'tf', resize: 'tfjs-bilinear' }, context);
  printed.length = 0;
  expect(await verifyModel('right', given, context)).toBe(true);
  expect(printed.join('\n')).toMatch(/^same answers .*same best label on 3 of 3 images/);

  await addModel(source, { name: 'wrong', normalization: 'tf', resize: 'pillow-bilinear' }, context);
  printed.length = 0;
  expect(await verifyModel('wrong', given, context)).toBe(false);
  expect(printed.join('\n')).toContain("best match: resize: 'tfjs-bilinear', normalization: 'tf'");
});
