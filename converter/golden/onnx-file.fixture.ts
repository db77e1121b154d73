import { encodeModel } from '../onnx-writer/graph/encode-onnx.ts';
import { BATCH, floatTensor, type OnnxNode } from '../onnx-writer/graph/graph.ts';
import { createRandom } from './harness.fixture.ts';

export interface ClassifierOptions {
  /** @default any */
  batch?: number;
  classes?: number;
  width?: number;
  height?: number;
  channels?: number;
  /** Arithmetic in front, each with a constant on its right. */
  front?: [op: string, ...values: number[]][];
  /** Operators after the scores. */
  endings?: readonly string[];
  /** Give the features as a second output, after or before the scores. */
  features?: 'first' | 'last';
}

/** An ONNX classifier as an exporter may write it: [N, channels, height, width], a convolution, a mean, a product. */
export function encodeClassifier(options: ClassifierOptions = {}): Uint8Array {
  const { batch = BATCH, classes = 4, width = 8, height = 8, channels = 3, front = [], endings = [] } = options;
  const random = createRandom(7);
  const randoms = (count: number, spread: number) =>
    Float32Array.from({ length: count }, () => (random() - 0.5) * spread);
  const constants = new Map([
    ['kernel', floatTensor([8, channels, 3, 3], randoms(8 * channels * 9, 0.6))],
    ['weights', floatTensor([8, classes], randoms(8 * classes, 6))],
  ]);
  const nodes: OnnxNode[] = [];
  let last = 'input';
  const add = (op: string, output: string, constant?: string, attributes: OnnxNode['attributes'] = {}): void => {
    nodes.push({ op, inputs: constant === undefined ? [last] : [last, constant], outputs: [output], attributes });
    last = output;
  };
  for (const [i, [op, ...values]] of front.entries()) {
    constants.set(`front${i}c`, floatTensor(values.length > 1 ? [values.length, 1, 1] : [], values));
    add(op, `front${i}`, `front${i}c`);
  }
  add('Conv', 'convolved', 'kernel', { pads: { ints: [1, 1, 1, 1] } });
  add('Relu', 'positive');
  add('GlobalAveragePool', 'pooled');
  add('Flatten', 'features', undefined, { axis: { int: 1 } });
  add('MatMul', 'logits', 'weights');
  for (const [i, op] of endings.entries()) add(op, `ending${i}`);
  const features = { name: 'features', type: 'float32' as const, shape: [batch, 8] };
  const answer = { name: last, type: 'float32' as const, shape: [batch, classes] };
  const outputs = { first: [features, answer], last: [answer, features], none: [answer] }[options.features ?? 'none'];
  const inputs = [{ name: 'input', type: 'float32' as const, shape: [batch, channels, height, width] }];
  return encodeModel({ nodes, constants, inputs, outputs }, 'classifier');
}

/**
 * An ONNX file as an exporter writes a network with two heads, for images of 8 x 8: `kind`, a softmax over 4 classes, `color`, logits of
 * 3 classes, `features`, the 8 numbers before them, and `grid`, whole numbers of 8 x 8 x 8.
 */
export function encodeTwoHeads({ batch = BATCH }: { batch?: number } = {}): Uint8Array {
  const random = createRandom(11);
  const randoms = (count: number, spread: number) =>
    Float32Array.from({ length: count }, () => (random() - 0.5) * spread);
  const constants = new Map([
    ['kernel', floatTensor([8, 3, 3, 3], randoms(8 * 27, 0.6))],
    ['kind_weights', floatTensor([8, 4], randoms(32, 6))],
    ['color_weights', floatTensor([8, 3], randoms(24, 6))],
    ['hundred', floatTensor([], [100])],
  ]);
  const node = (op: string, inputs: string[], output: string, attributes: OnnxNode['attributes'] = {}): OnnxNode => ({
    op,
    inputs,
    outputs: [output],
    attributes,
  });
  const nodes = [
    node('Conv', ['input', 'kernel'], 'convolved', { pads: { ints: [1, 1, 1, 1] } }),
    node('Relu', ['convolved'], 'positive'),
    node('GlobalAveragePool', ['positive'], 'pooled'),
    node('Flatten', ['pooled'], 'features', { axis: { int: 1 } }),
    node('MatMul', ['features', 'kind_weights'], 'kind_logits'),
    node('Softmax', ['kind_logits'], 'kind', { axis: { int: 1 } }),
    node('MatMul', ['features', 'color_weights'], 'color'),
    node('Mul', ['positive', 'hundred'], 'scaled'),
    node('Cast', ['scaled'], 'grid', { to: { int: 7 } }),
  ];
  const port = (name: string, shape: number[], type: 'float32' | 'int64' = 'float32') => ({
    name,
    type,
    shape: [batch, ...shape],
  });
  const outputs = [port('kind', [4]), port('color', [3]), port('features', [8]), port('grid', [8, 8, 8], 'int64')];
  return encodeModel({ nodes, constants, inputs: [port('input', [3, 8, 8])], outputs }, 'two heads');
}

/** What a spec says of `encodeTwoHeads`, with `kind` as its labels. */
export const TWO_HEADS_SPEC = {
  source: { type: 'folder', model: 'model.onnx', labels: 'labels.json' },
  format: 'onnx',
  input: { width: 8, height: 8, normalization: 'unit' },
  output: { name: 'kind', activation: 'softmax' },
  outputs: {
    color: { type: 'labels', labels: ['red', 'green', 'blue'], activation: 'logits-sigmoid', threshold: 0.5 },
    vector: { type: 'embedding', size: 8, from: 'features' },
    grid: { type: 'tensor', shape: [8, 8, 8], dtype: 'int32' },
  },
};
export const TWO_HEADS_LABELS = ['cat', 'dog', 'bird', 'fish'];
