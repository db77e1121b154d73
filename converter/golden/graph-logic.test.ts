/** Graph operations that compare and choose, as activations with thresholds are written, and some that are rarer. */
import { describe, expect, test } from 'vitest';
import type { GraphWriter } from './graph-writer.fixture.ts';
import { convertOnly, difference, features, LIMIT } from './graphs.fixture.ts';
import { largestDifference } from './harness.fixture.ts';

const FLOAT = { DstT: { type: 'DT_FLOAT' } };
const toNumbers = (g: GraphWriter, flags: string) => g.node('Cast', [flags], FLOAT);
/** Another value of the same shape. */
const other = (g: GraphWriter) => g.node('Mul', [features(g), g.weights(6)]);

describe('graph ops agree with tfjs', () => {
  test.each(['Greater', 'GreaterEqual', 'Less', 'LessEqual', 'Equal', 'NotEqual'])('%s', async (op) => {
    const attr = op.endsWith('qual') ? { incompatible_shape_error: { b: true } } : {};
    const images = (g: GraphWriter) => toNumbers(g, g.node(op, [features(g), other(g)], attr));
    expect(await difference(images)).toBeLessThan(LIMIT);
    // Some are equal.
    const rounded = (g: GraphWriter) => toNumbers(g, g.node(op, [g.node('Round', ['image']), g.float(1)], attr));
    expect(await difference(rounded)).toBeLessThan(LIMIT);
  });

  test('LogicalAnd, LogicalOr and LogicalNot', async () => {
    const above = (g: GraphWriter, number: number) => g.node('Greater', ['image', g.float(number)]);
    for (const op of ['LogicalAnd', 'LogicalOr']) {
      const both = (g: GraphWriter) => toNumbers(g, g.node(op, [above(g, 0.3), g.node('LogicalNot', [above(g, 0.7)])]));
      expect(await difference(both)).toBeLessThan(LIMIT);
    }
  });

  test('an ELU with an alpha, and a threshold', async () => {
    for (const op of ['Select', 'SelectV2']) {
      const elu = (g: GraphWriter) => {
        const at = features(g);
        const below = g.node('Mul', [g.node('Expm1', [at]), g.float(0.4)]);
        return g.node(op, [g.node('Greater', [at, g.float(0)]), at, below]);
      };
      // tfjs takes no number instead of a tensor here.
      expect(await difference(elu)).toBeLessThan(LIMIT);
    }
    const threshold = (g: GraphWriter) => {
      const at = features(g);
      return g.node('Mul', [at, toNumbers(g, g.node('Greater', [at, g.float(0.3)]))]);
    };
    expect(await difference(threshold)).toBeLessThan(LIMIT);
  });

  test('flags that are constants', async () => {
    const chosen = (g: GraphWriter) => g.node('SelectV2', [g.ints(1, 0, 1, 0, 0, 1), features(g), other(g)]);
    const counted = (g: GraphWriter) => {
      const first = features(g);
      const second = other(g);
      const flags = g.float(1, 0, 1, 0, 0, 1);
      const rest = g.node('Sub', [g.float(1), flags]);
      return g.node('Add', [g.node('Mul', [first, flags]), g.node('Mul', [second, rest])]);
    };
    expect(largestDifference(await convertOnly(chosen), await convertOnly(counted))).toBeLessThan(LIMIT);
  });

  test('LRN, ReverseV2, ZerosLike and OnesLike', async () => {
    const numbers = { depth_radius: { i: '2' }, bias: { f: 1.5 }, alpha: { f: 0.3 }, beta: { f: 0.75 } };
    expect(await difference((g) => g.node('LRN', [features(g)], numbers))).toBeLessThan(LIMIT);
    expect(await difference((g) => g.node('LRN', [features(g)]))).toBeLessThan(LIMIT);
    for (const axes of [[3], [1, 2], [-1]]) {
      expect(await difference((g) => g.node('ReverseV2', [features(g), g.ints(...axes)]))).toBeLessThan(LIMIT);
    }
    for (const op of ['ZerosLike', 'OnesLike']) {
      const shifted = (g: GraphWriter) => g.node('Sub', [features(g), g.node(op, [features(g)])]);
      expect(await difference(shifted)).toBeLessThan(LIMIT);
    }
  });
});

test('flags for whole images, and images in reverse order, are refused by their node', async () => {
  const flags = (g: GraphWriter) => g.node('Select', [g.node('Greater', [g.weights(2), g.float(0)]), 'image', 'image']);
  await expect(convertOnly(flags)).rejects.toThrow(/does not cover Select: node Select_\d+: flags \[2\]/);
  const reversed = (g: GraphWriter) => g.node('ReverseV2', ['image', g.ints(0)]);
  await expect(convertOnly(reversed)).rejects.toThrow(/does not cover ReverseV2: of the batch, node ReverseV2_\d+/);
});
