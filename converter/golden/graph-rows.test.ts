/** Graphs that put the images of a batch behind each other, or compute with their number, as Keras 2 writes layers on sequences. */
import { readdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { ModelError } from '../errors.ts';
import { NODES } from '../onnx-writer/tfjs-ops/op-table.ts';
import { GraphWriter, text } from './graph-writer.fixture.ts';
import { conv, difference, features, INPUT, LIMIT } from './graphs.fixture.ts';
import { largestDifference, randomPixels, runConverted } from './harness.fixture.ts';

type Write = (graph: GraphWriter) => string;

/** Sequences of the given length. */
const sequence = (g: GraphWriter) => g.node('Reshape', [features(g), g.ints(-1, 88, 6)]);
const sizesOf = (g: GraphWriter, at: string, begin: number, end: number) =>
  g.node('StridedSlice', [g.node('Shape', [at]), g.ints(begin), g.ints(end), g.ints(1)]);
const imagesOf = (g: GraphWriter, at: string) =>
  g.node('StridedSlice', [g.node('Shape', [at]), g.ints(0), g.ints(1), g.ints(1)], { shrink_axis_mask: { i: '1' } });

/** LayerNormalization as Keras 2 writes it: a batch normalization in training, whose channels are rows of all images. */
function normalizeRows(g: GraphWriter, at: string, rank: number, scale = 1, offset = 0): string {
  const rows = g.node('Prod', [sizesOf(g, at, 0, rank - 1), g.ints(0)]);
  const numbers = g.node('Prod', [sizesOf(g, at, rank - 1, rank), g.ints(0)]);
  const shape = g.node('Pack', [g.int(1), rows, numbers, g.int(1)]);
  const fill = (value: number) => g.node('Fill', [g.node('ExpandDims', [rows, g.int(0)]), g.float(value)]);
  const inputs = [g.node('Reshape', [at, shape]), fill(scale), fill(offset), g.weights(0), g.weights(0)];
  const attr = { is_training: { b: true }, data_format: { s: text('NCHW') }, epsilon: { f: 0.001 } };
  return g.node('Reshape', [g.node('FusedBatchNormV3', inputs, attr), g.node('Shape', [at])]);
}

/** The same in arithmetic that tfjs computes as TensorFlow does. */
function normalizeByMoments(g: GraphWriter, at: string, scale = 1, offset = 0): string {
  const keep = { keep_dims: { b: true } };
  const mean = g.node('Mean', [at, g.ints(-1)], keep);
  const variance = g.node('Mean', [g.node('SquaredDifference', [at, mean]), g.ints(-1)], keep);
  const factor = g.node('Rsqrt', [g.node('AddV2', [variance, g.float(0.001)])]);
  const normal = g.node('Mul', [g.node('Sub', [at, mean]), factor]);
  return g.node('AddV2', [g.node('Mul', [normal, g.float(scale)]), g.float(offset)]);
}

const run = (write: Write) => {
  const writer = new GraphWriter();
  return runConverted(writer.model(write(writer)), randomPixels(INPUT, 2), INPUT);
};

describe('rows of several images behind each other', () => {
  test.each([
    ['sequences', sequence, 3],
    ['images', features, 4],
  ] as const)("Keras 2's LayerNormalization of %s", async (_, input, rank) => {
    const norm = (g: GraphWriter) => normalizeRows(g, input(g), rank);
    expect(await difference(norm, (g) => normalizeByMoments(g, input(g)))).toBeLessThan(LIMIT);
    const scaled = (g: GraphWriter) => normalizeRows(g, input(g), rank, 1.5, -0.25);
    expect(await difference(scaled, (g) => normalizeByMoments(g, input(g), 1.5, -0.25))).toBeLessThan(LIMIT);
  });

  test('the same in a graph that takes one image at a time, whose shapes are constants', async () => {
    const single = (g: GraphWriter) => {
      g.nodes[0]!.attr.shape = { shape: { dim: ['1', '11', '8', '3'].map((size) => ({ size })) } };
      const fill = (value: number) => g.node('Fill', [g.ints(88), g.float(value)]);
      const inputs = [
        g.node('Reshape', [features(g), g.ints(1, 88, 6, 1)]),
        fill(1),
        fill(0),
        g.weights(0),
        g.weights(0),
      ];
      const attr = { is_training: { b: true }, data_format: { s: text('NCHW') }, epsilon: { f: 0.001 } };
      return g.node('Reshape', [g.node('FusedBatchNormV3', inputs, attr), g.ints(1, 88, 6)]);
    };
    expect(await difference(single, (g) => normalizeByMoments(g, sequence(g)))).toBeLessThan(LIMIT);
  });

  test("Keras 2's Dense of sequences", async () => {
    const dense = (g: GraphWriter) => {
      const at = sequence(g);
      const free = g.node('GatherV2', [g.node('Shape', [at]), g.ints(0, 1), g.int(0)]);
      const rows = g.node('Pack', [g.node('Prod', [free, g.ints(0)]), g.int(6)]);
      const flat = g.node('Reshape', [g.node('Transpose', [at, g.ints(0, 1, 2)]), rows]);
      const product = g.node('BiasAdd', [g.node('MatMul', [flat, g.weights(6, 4)]), g.weights(4)]);
      return g.node('Reshape', [g.node('Relu', [product]), g.node('ConcatV2', [free, g.ints(4), g.int(0)])]);
    };
    expect(await difference(dense)).toBeLessThan(LIMIT);
    const open = (g: GraphWriter) => {
      const flat = g.node('MatMul', [g.node('Reshape', [sequence(g), g.ints(-1, 6)]), g.weights(6, 4)]);
      return g.node('Reshape', [flat, g.ints(-1, 88, 4)]);
    };
    expect(await difference(open)).toBeLessThan(LIMIT);
  });

  test('a token for each image, by BroadcastTo, Tile or Fill', async () => {
    const token: Record<string, (g: GraphWriter, sizes: string) => string> = {
      BroadcastTo: (g, sizes) => g.node('BroadcastTo', [g.weights(1, 1, 6), sizes]),
      Tile: (g, sizes) => g.node('Tile', [g.weights(1, 1, 6), sizes]),
      Fill: (g, sizes) => g.node('Mul', [g.node('Fill', [sizes, g.float(0.5)]), g.weights(6)]),
    };
    for (const [name, make] of Object.entries(token)) {
      const write = (g: GraphWriter) => {
        const at = sequence(g);
        const sizes = g.node('Pack', [imagesOf(g, at), g.int(1), g.int(name === 'BroadcastTo' ? 6 : 1)]);
        return g.node('ConcatV2', [make(g, sizes), at, g.int(1)]);
      };
      expect(await difference(write), name).toBeLessThan(LIMIT);
    }
  });

  test("Keras 2's dilated depthwise convolutions, which become those of several smaller images", async () => {
    for (const [rate, top, bottom, left, right] of [
      [2, 2, 3, 2, 2],
      [3, 3, 4, 3, 4],
      [2, 0, 1, 0, 0],
    ] as const) {
      const write = (g: GraphWriter) => {
        const paddings = g.node('Reshape', [g.ints(top, bottom, left, right), g.ints(2, 2)]);
        const spread = g.node('SpaceToBatchND', [features(g), g.ints(rate, rate), paddings]);
        const convolved = g.node('DepthwiseConv2dNative', [spread, g.weights(2, 2, 6, 1)], conv(1, 'VALID'));
        const shifted = g.node('Relu', [g.node('BiasAdd', [convolved, g.weights(6)])]);
        const crops = g.node('Reshape', [g.ints(0, bottom - top, 0, right - left), g.ints(2, 2)]);
        return g.node('BatchToSpaceND', [shifted, g.ints(rate, rate), crops]);
      };
      expect(await difference(write), `rate ${rate}`).toBeLessThan(LIMIT);
    }
  });

  test('one image has the answer that it has among others', async () => {
    const writer = new GraphWriter();
    const pooled = writer.node('Mean', [normalizeRows(writer, sequence(writer), 3), writer.ints(1)]);
    const model = writer.model(writer.node('Softmax', [pooled]));
    const both = await runConverted(model, randomPixels(INPUT, 2), INPUT);
    const one = await runConverted(model, randomPixels(INPUT, 2).subarray(0, 11 * 8 * 3), INPUT);
    expect(largestDifference(one.probabilities, both.probabilities.subarray(0, 6))).toBeLessThan(1e-6);
  });
});

describe('what depends on the number of images otherwise is refused by its op and node', () => {
  const float = { DstT: { type: 'DT_FLOAT' } };
  const cases: [string, Write, RegExp][] = [
    [
      'as a factor',
      (g) => g.node('Mul', [features(g), g.node('Cast', [imagesOf(g, 'image')], float)]),
      /Cast: .*number of/,
    ],
    [
      'in a sum',
      (g) => g.node('Reshape', ['image', g.node('AddV2', [imagesOf(g, 'image'), g.int(1)])]),
      /AddV2: .*number/,
    ],
    ['squared', (g) => g.node('Mul', [imagesOf(g, 'image'), imagesOf(g, 'image')]), /Mul: node Mul_\d+: it computes/],
    ['as a value', (g) => g.node('Fill', [g.ints(2), imagesOf(g, 'image')]), /Fill: node Fill_\d+: it computes/],
    ['as an axis', (g) => g.node('Mean', [features(g), imagesOf(g, 'image')]), /Mean: node Mean_\d+: it computes/],
    ['a mean of images', (g) => g.node('Mean', [features(g), g.ints(0)]), /Mean: over the images/],
    ['a part of them', (g) => g.node('Unpack', [features(g)], { num: { i: '2' } }), /Unpack: cuts the batch/],
    ['a split', (g) => g.node('Split', [g.int(0), features(g)], { num_split: { i: '2' } }), /Split: cuts the batch/],
    [
      'one of their rows',
      (g) => g.node('Gather', [g.node('Reshape', [features(g), g.ints(-1, 6)]), g.ints(0)]),
      /Gather: node Gather_\d+, of the rows of several images/,
    ],
    [
      'an answer',
      (g) => g.node('MatMul', [g.node('Reshape', [sequence(g), g.ints(-1, 6)]), g.weights(6, 4)]),
      /MatMul: node MatMul_\d+, whose images/,
    ],
    ['sizes that do not fit', (g) => g.node('Reshape', ['image', g.ints(7, 7)]), /Reshape: node .*cannot be given/],
    [
      'a huge constant',
      (g) => g.node('Fill', [g.ints(1e5, 1e5), g.float(1)]),
      /node Fill_\d+ \(Fill\): Expand would make/,
    ],
    ['a huge table', (g) => g.node('Mul', [g.weights(5000, 1), g.weights(1, 5000)]), /Mul: node .* 25000000 numbers/],
  ];
  test.each(cases)('%s', async (_, write, message) => {
    await expect(run(write)).rejects.toThrow(message);
  });
});

describe("every op in tfjs' list", () => {
  /** What is not an operation on an image. */
  const OTHERS = new Set(['Placeholder', 'PlaceholderWithDefault', 'Const', 'NoOp', 'Shape', 'Rank', 'Size']);

  async function listOps(): Promise<string[]> {
    const entry = createRequire(import.meta.url).resolve('@tensorflow/tfjs-converter/package.json');
    const folder = path.join(path.dirname(entry), 'dist/operations/op_list');
    const files = (await readdir(folder)).filter((name) => /^\w+\.js$/.test(name));
    const texts = await Promise.all(files.map((name) => readFile(path.join(folder, name), 'utf8')));
    return texts.flatMap((content) => [...content.matchAll(/'tfOpName': '(\w+)'/g)].map(([, op = '']) => op));
  }

  test('is converted, or refused by its name', async () => {
    const ops = (await listOps()).filter((op) => !OTHERS.has(op));
    expect(ops.length).toBeGreaterThan(200);
    const unknown = ops.filter((op) => !Object.hasOwn(NODES, op));
    expect(unknown).toContain('Acosh');
    for (const op of unknown) {
      const refused = {
        code: 'UNSUPPORTED_OP',
        op,
        message: expect.stringContaining(`does not cover ${op}: node ${op}_`),
      };
      await expect(
        run((g) => g.node(op, ['image'])),
        op,
      ).rejects.toMatchObject(refused);
    }
    for (const op of ops.filter((name) => Object.hasOwn(NODES, name))) {
      // Most need more than an image.
      const outcome = await run((g) => g.node(op, ['image'])).catch((error: unknown) => error);
      if (outcome instanceof Error) {
        expect(outcome, op).toBeInstanceOf(ModelError);
        expect(outcome.message, op).toContain(`${op}_`);
      }
    }
  });
});
