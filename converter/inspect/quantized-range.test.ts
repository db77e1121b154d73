import { expect, test } from 'vitest';
import { encodeClassifier } from '../golden/onnx-file.fixture.ts';
import { decodeOnnx } from '../onnx-reader/decode-onnx.ts';
import { readFacts } from '../onnx-reader/inputs-and-outputs.ts';
import { Findings } from './findings.ts';
import { chooseOnnxNormalization } from './onnx-normalization.ts';
import { normalizationOfPort } from './quantized-range.ts';

const TYPES = { float32: 1, uint8: 2, int8: 3 } as const;

interface Quantization {
  type: 'uint8' | 'int8';
  /** What the least and the most whole number stand for, of the image and of values that are never below 0. */
  image: [low: number, high: number];
  positive?: [low: number, high: number];
}

/** A classifier as onnxruntime's quantization writes it: it quantizes its image and what a Relu gives, and calculates with floats between. */
function readQuantized({ type, image, positive = [0, 6] }: Quantization) {
  const { model, graph } = decodeOnnx(encodeClassifier());
  const quantize = (name: string, [low, high]: readonly [number, number]) => {
    const scale = (high - low) / 255;
    const zero = Math.round(-low / scale) - (type === 'int8' ? 128 : 0);
    graph.initializer.push({ name: `${name}_scale`, dims: [], dataType: TYPES.float32, floatData: [scale] } as never);
    graph.initializer.push({ name: `${name}_zero`, dims: [], dataType: TYPES[type], int32Data: [zero] } as never);
    const at = graph.node.findIndex(({ input }) => input?.includes(name));
    for (const node of graph.node) node.input = (node.input ?? []).map((it) => (it === name ? `${name}_dq` : it));
    const parameters = [`${name}_scale`, `${name}_zero`];
    const pair = [
      { opType: 'QuantizeLinear', input: [name, ...parameters], output: [`${name}_q`] },
      { opType: 'DequantizeLinear', input: [`${name}_q`, ...parameters], output: [`${name}_dq`] },
    ];
    graph.node.splice(at, 0, ...(pair as typeof graph.node));
  };
  quantize('positive', positive);
  quantize('input', image);
  return readFacts({ model, graph });
}

const CENTERED = [-6, 6] as [number, number];

test.each<[name: string, quantization: Quantization, expected: string | undefined]>([
  ['bytes', { type: 'uint8', image: [0, 255] }, 'none'],
  ['0..1', { type: 'uint8', image: [0, 1] }, 'unit'],
  ['0..1, whose images were not quite white', { type: 'int8', image: [0, 0.97] }, 'unit'],
  ['-1..1', { type: 'int8', image: [-1, 1] }, 'tf'],
  ["ImageNet's mean and deviation", { type: 'uint8', image: [-2.118, 2.64] }, 'torch'],
  ['bytes, symmetric', { type: 'int8', image: [-255, 255], positive: CENTERED }, 'none'],
  ["ImageNet's, symmetric", { type: 'int8', image: [-2.64, 2.64], positive: CENTERED }, 'torch'],
  // Of 0..1, too.
  ['-1..1, symmetric', { type: 'int8', image: [-1, 1], positive: CENTERED }, undefined],
  ['another range', { type: 'uint8', image: [-3.1, 2.9] }, undefined],
])('a model that was quantized for %s takes them', (_, quantization, expected) => {
  const findings = new Findings();
  const chosen = chooseOnnxNormalization(readQuantized(quantization), {}, undefined, findings);
  expect(chosen.isGuess).toBe(true);
  const [row] = findings.rows;
  if (expected === undefined) expect(row).toMatchObject({ certainty: 'guessed' });
  else {
    expect(chosen.normalization).toBe(expected);
    expect(row).toMatchObject({
      certainty: 'likely',
      from: expect.stringMatching(/^it was quantized for values from /),
    });
  }
});

test('a file next to the model says more than the range that it was quantized for', () => {
  const findings = new Findings();
  const facts = readQuantized({ type: 'uint8', image: [0, 1] });
  const beside = { normalization: 'torch', from: 'preprocessor_config.json' } as const;
  expect(chooseOnnxNormalization(facts, {}, beside, findings)).toEqual({ normalization: 'torch', isGuess: false });
});

test.each([
  [0, 255, 'none'],
  [0, 1, 'unit'],
  [-1.004, 0.996, 'tf'],
  [-2.118, 2.64, undefined],
  [0, 0.9, undefined],
])('an input of whole numbers that stand for %d to %d takes such images', (low, high, expected) => {
  expect(normalizationOfPort({ low, high })).toBe(expected);
});
