import { describe, expect, test } from 'vitest';
import { createRandom } from '../golden/harness.fixture.ts';
import { readByteWeights } from './embedded-preprocessing.ts';
import { type TraceConstant, type TraceNode, traceInput } from './input-trace.ts';

const FILTERS = 32;
const WEIGHTS = 27;

interface FirstWeights {
  /** The standard deviation of weights. */
  spread: number;
  /** The mean of the values that the network was trained on. */
  mean: number;
  /** How the exporter wrote the batch normalization; without one, offsets are as they were initialized. */
  normalization: 'node' | 'in the bias' | 'arithmetic' | 'none';
}

/** What the trace finds in a network whose first layer was trained on images of a mean. */
function traceOf({ spread, mean, normalization }: FirstWeights) {
  const random = createRandom(3);
  const numbers = (count: number, low: number, high: number) =>
    Float32Array.from({ length: count }, () => low + random() * (high - low));
  const kernel = numbers(FILTERS * WEIGHTS, -spread, spread).map((value) => value * Math.sqrt(3));
  const filterMeans = Float32Array.from({ length: FILTERS }, (_, i) =>
    kernel.subarray(i * WEIGHTS, (i + 1) * WEIGHTS).reduce((sum, weight) => sum + weight * mean, 0),
  );
  const gamma = numbers(FILTERS, 0.7, 1.3);
  const beta = numbers(FILTERS, -0.5, 0.5);
  const minus = filterMeans.map((value) => -value);
  const folded = kernel.map((weight, i) => weight * (gamma[Math.floor(i / WEIGHTS)] ?? 1));
  const bias = minus.map((value, i) => value * (gamma[i] ?? 1) + (beta[i] ?? 0));
  const floats = (values: Float32Array, shape = [values.length]): TraceConstant => ({
    shape,
    values: undefined,
    readFloats: () => values,
  });
  const constants: Record<string, TraceConstant> = {
    kernel: floats(normalization === 'in the bias' ? folded : kernel, [FILTERS, 3, 3, 3]),
    bias: floats(normalization === 'in the bias' ? bias : new Float32Array(FILTERS)),
    gamma: floats(gamma),
    beta: floats(beta),
    mean: floats(filterMeans),
    variance: floats(new Float32Array(FILTERS).fill(1)),
  };
  const behind: Record<FirstWeights['normalization'], TraceNode[]> = {
    node: [
      { op: 'BatchNormalization', inputs: ['c', 'gamma', 'beta', 'mean', 'variance'], outputs: ['y'], epsilon: 0 },
    ],
    // As frameworks write it that keep channels last.
    arithmetic: [
      { op: 'Transpose', inputs: ['c'], outputs: ['t'], perm: [0, 2, 3, 1] },
      { op: 'Sub', inputs: ['t', 'mean'], outputs: ['s'] },
      { op: 'Mul', inputs: ['gamma', 's'], outputs: ['m'] },
      { op: 'Add', inputs: ['m', 'beta'], outputs: ['y'] },
    ],
    'in the bias': [],
    none: [],
  };
  const nodes: TraceNode[] = [
    { op: 'Conv', inputs: ['x', 'kernel', 'bias'], outputs: ['c'] },
    ...behind[normalization],
    { op: 'Relu', inputs: ['y'], outputs: ['z'] },
  ];
  const constantOf = (name: string) => constants[name];
  return traceInput({ nodes, constantOf, outputs: [], convolution: { layout: 'nchw', channelsAxis: 1 } }, 'x');
}

describe('the first layer', () => {
  test.each(['node', 'in the bias', 'arithmetic'] as const)(
    'shows the mean that it was trained on, with its batch normalization written as %s',
    (normalization) => {
      for (const mean of [0, 117]) {
        const { firstLayer } = traceOf({ spread: 0.005, mean, normalization });
        const { value = Number.NaN, error = Number.NaN } = firstLayer?.inputMean ?? {};
        expect(Math.abs(value - mean)).toBeLessThan(3 * error);
        expect(error).toBeLessThan(15);
        expect(firstLayer?.weightSpread).toBeGreaterThan(0.004);
        expect(firstLayer?.weightSpread).toBeLessThan(0.006);
      }
    },
  );

  test.each<[string, ReturnType<typeof readByteWeights>, FirstWeights]>([
    ['bytes', 'bytes', { spread: 0.002, mean: 117, normalization: 'in the bias' }],
    ['bytes minus their mean', 'centered', { spread: 0.002, mean: 0, normalization: 'in the bias' }],
    ['either, without a batch normalization', 'either', { spread: 0.0005, mean: 0, normalization: 'none' }],
    ['0..1', undefined, { spread: 0.3, mean: 0.45, normalization: 'in the bias' }],
    ['values around 0', undefined, { spread: 0.1, mean: 0, normalization: 'node' }],
  ])('is known to be made for %s', (_, expected, weights) => {
    expect(readByteWeights(traceOf(weights))).toBe(expected);
  });
});
