import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createRandom } from '../golden/harness.fixture.ts';
import { BATCH, floatTensor, type OnnxNode } from '../onnx/graph.ts';
import { encodeModel } from '../onnx/write.ts';
import { addModel } from './add.ts';
import type { Folders } from './folders.ts';

const SAMPLES = path.resolve(import.meta.dirname, '../../models/samples');
const CLASSES = 4;

let root: string;
let folders: Folders;
let printed: string[];

beforeEach(async () => {
  root = await mkdtemp(path.join(os.tmpdir(), 'inferql-onnx-'));
  printed = [];
  folders = {
    modelsDir: path.join(root, 'models'),
    stateDir: path.join(root, 'state'),
    signal: new AbortController().signal,
    print: (line) => printed.push(line),
  };
  await cp(SAMPLES, path.join(folders.modelsDir, 'samples'), { recursive: true });
  await writeFile(path.join(root, 'labels.txt'), 'a\nb\nc\nd');
});

afterEach(() => rm(root, { recursive: true, force: true }));

/** A classifier of 8 x 8 images, [N, 3, 8, 8], that ends in the given operators. */
async function writeClassifier(name: string, ...endings: string[]): Promise<string> {
  const random = createRandom(7);
  const size = 3 * 8 * 8;
  const kernel = Float32Array.from({ length: size * CLASSES }, () => (random() - 0.5) / 4);
  const names = ['logits', ...endings.map((_, i) => `e${i}`)];
  const nodes: OnnxNode[] = [
    { op: 'Flatten', inputs: ['input'], outputs: ['flat'], attributes: { axis: { int: 1 } } },
    { op: 'MatMul', inputs: ['flat', 'kernel'], outputs: ['logits'], attributes: {} },
    ...endings.map((op, i) => ({ op, inputs: [names[i] ?? ''], outputs: [names[i + 1] ?? ''], attributes: {} })),
  ];
  const output = names.at(-1) ?? '';
  const bytes = encodeModel(
    {
      nodes,
      constants: new Map([['kernel', floatTensor([size, CLASSES], kernel)]]),
      inputs: [{ name: 'input', type: 'float32', shape: [BATCH, 3, 8, 8] }],
      outputs: [{ name: output, type: 'float32', shape: [BATCH, CLASSES] }],
    },
    name,
  );
  const file = path.join(root, `${name}.onnx`);
  await writeFile(file, bytes);
  return file;
}

describe('models add of an ONNX file', () => {
  test.each([
    ['softmax', ['Softmax', 'Identity']],
    ['sigmoid', ['Sigmoid']],
    ['logits', ['LogSoftmax']],
    ['logits', []],
  ] as const)('reads the activation %s from an end in %j', async (activation, endings) => {
    const file = await writeClassifier('net', ...endings);
    const options = { labels: path.join(root, 'labels.txt'), width: 8, height: 8 };
    const model = await addModel(file, options, folders);
    expect(model.spec.output.activation).toBe(activation);
  });

  test('refuses to apply a softmax to probabilities', async () => {
    const file = await writeClassifier('net', 'Softmax');
    const options = { labels: path.join(root, 'labels.txt'), width: 8, height: 8, activation: 'logits' } as const;
    await expect(addModel(file, options, folders)).rejects.toThrow('ends in Softmax already: expected softmax');
  });
});
