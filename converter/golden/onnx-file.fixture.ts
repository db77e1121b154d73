import { BATCH, floatTensor, type OnnxNode } from '../onnx/graph.ts';
import { encodeModel } from '../onnx/write.ts';
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
