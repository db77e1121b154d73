import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { expect, test } from 'vitest';
import { decodeOnnx } from '../onnx-reader/decode-onnx.ts';
import { readFacts } from '../onnx-reader/inputs-and-outputs.ts';
import type { NormalizationSpec } from '../spec/input-spec.ts';
import { Findings } from './findings.ts';
import { chooseOnnxNormalization } from './onnx-normalization.ts';

// Written by Keras 3; its layers are below `functional_1`.
const FILE = path.join(import.meta.dirname, '../golden/keras/keras3-padded-pool.onnx');

async function choose(network: string, producer = 'tf2onnx', input?: string) {
  const { model, graph } = decodeOnnx(await readFile(FILE));
  model.producerName = producer;
  for (const node of graph.node) node.name = node.name?.replace('functional_1', network) ?? '';
  const [port] = graph.input;
  if (port && input !== undefined) {
    for (const node of graph.node) node.input = node.input?.map((name) => (name === port.name ? input : name)) ?? [];
    port.name = input;
  }
  const findings = new Findings();
  return { ...chooseOnnxNormalization(readFacts({ model, graph }), {}, undefined, findings), findings };
}

test.each([
  ['mobilenet_1.00_224', 'tf'],
  ['mobilenetv2_1.00_224_1', 'tf'],
  ['NASNet', 'tf'],
  ['resnet50v2_1', 'tf'],
  ['inception_resnet_v2', 'tf'],
  ['resnet50_1', 'caffe'],
  ['vgg16', 'caffe'],
  ['densenet121', 'torch'],
  ['StatefulPartitionedCall/sequential/xception', 'tf'],
])('takes the normalization of %s from the names that tf2onnx keeps', async (network, expected) => {
  const { normalization, isGuess, findings } = await choose(network);
  expect(normalization).toBe(expected);
  // Somebody may have trained it otherwise.
  expect(isGuess).toBe(true);
  expect(findings.rows).toMatchObject([
    { certainty: 'guessed', from: expect.stringMatching(/^usual for .*, as its layers are named/) },
  ]);
});

test('names say nothing in the files of another framework, which normalizes otherwise', async () => {
  expect((await choose('mobilenetv2_1.00_224', 'pytorch', 'x')).normalization).toBe('torch');
});

test("a file of Keras' backend for PyTorch is one of Keras, whatever its producer", async () => {
  expect((await choose('functional_1', 'pytorch')).normalization).toBe('unit');
  expect((await choose('mobilenetv2_1.00_224', 'pytorch')).normalization).toBe('tf');
});

test('a name that is unknown leaves a guess', async () => {
  const { normalization, findings } = await choose('functional_1');
  expect(normalization).toBe('unit');
  expect(findings.isGuess('normalization')).toBe(true);
});

test('a model of bytes takes bytes, whatever its arithmetic makes of them', async () => {
  const { model, graph } = decodeOnnx(await readFile(FILE));
  const facts = readFacts({ model, graph });
  const bytes = { ...facts, input: { ...facts.input, type: 2, typeName: 'uint8' } };
  const signed = { shows: 'values', normalization: 'tf', isOrderOpen: false, does: 'makes 0..1 of -1..1' } as const;
  const choice = (normalization: NormalizationSpec) =>
    chooseOnnxNormalization(bytes, {}, undefined, new Findings(), {
      front: { ...signed, normalization },
      canAsk: false,
    });
  expect(choice('tf')).toEqual({ normalization: 'none', isGuess: false });
  const blueFirst = { scale: 1, mean: [0], std: [1], order: 'bgr' } as const;
  expect(choice({ ...blueFirst, mean: [0], std: [1] }).normalization).toEqual(blueFirst);
});
