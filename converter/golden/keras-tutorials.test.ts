/** Models as TensorFlow's tutorials build them, written by Keras (keras/tutorials/make.py), compared with Keras' answers to the same pixels. */
import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { addModel } from '../commands/add.ts';
import { useRepository } from '../commands/test-repository.fixture.ts';
import { runOne } from '../inspect/probe-onnx.ts';
import { localRunner } from '../model-process/local-runner.ts';
import { largestDifference } from './harness.fixture.ts';

const FILES = path.join(import.meta.dirname, 'keras/tutorials');
const SIZE = 16;
const IMAGE = SIZE * SIZE * 3;
/** Two images, the same in make.py: the second is dark. */
const PIXELS = Uint8Array.from({ length: 2 * IMAGE }, (_, i) =>
  Math.floor(((i * 37 + Math.floor(i / 7) * 11) % 256) / (i < IMAGE ? 1 : 3)),
);

const repository = useRepository();

function softmax(logits: readonly number[]): number[] {
  const exponents = logits.map((value) => Math.exp(value));
  const sum = exponents.reduce((a, b) => a + b, 0);
  return exponents.map((value) => value / sum);
}

/** One number per image is the second of two classes. */
const bothOf = ([value = Number.NaN]: readonly number[]) => [1 - value, value];

test.each([
  ['keras3-image-classification', 'logits', softmax],
  ['keras2-image-classification', 'logits', softmax],
  ['keras3-transfer-learning', 'sigmoid', bothOf],
  ['keras2-transfer-learning', 'sigmoid', bothOf],
] as const)('%s is added without flags, and answers as Keras does', async (name, activation, toProbabilities) => {
  const all = JSON.parse(await readFile(path.join(FILES, 'answers.json'), 'utf8')) as Record<
    string,
    { answers: number[][] }
  >;
  const expected = (all[name]?.answers ?? []).map(toProbabilities);
  const { spec, onnxPath } = await addModel(path.join(FILES, `${name}.keras`), {}, repository.context);
  expect(spec.input).toMatchObject({ width: SIZE, height: SIZE, normalization: 'none' });
  expect(spec.output.activation).toBe(activation);
  const session = await localRunner.openOnnx(onnxPath ?? '', { threads: 1, input: spec.input });
  const found = [await runOne(session, PIXELS.slice(0, IMAGE), { ...spec })];
  found.push(await runOne(session, PIXELS.slice(IMAGE), { ...spec }));
  await session.release();
  // Two images that are answered alike would hide a misread layer.
  expect(largestDifference(found[0]!, [...found[1]!])).toBeGreaterThan(1e-3);
  for (const [i, row] of found.entries()) expect(largestDifference(row, expected[i]!)).toBeLessThan(1e-5);
});
