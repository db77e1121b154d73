/** Graph operations that move values and set shapes, and whole graphs. */
import { describe, expect, test } from 'vitest';
import { GraphWriter, ints, text } from './graph-writer.fixture.ts';
import { conv, difference, features, INPUT, LIMIT, sides } from './graphs.fixture.ts';
import { randomPixels, runConverted } from './harness.fixture.ts';

describe('graph ops agree with tfjs', () => {
  test('padding, mirrored too, of the image and of channels', async () => {
    expect(await difference((g) => g.node('Pad', [features(g), sides(g, 0, 0, 1, 2, 3, 0, 0, 0)]))).toBeLessThan(LIMIT);
    expect(await difference((g) => g.node('Pad', [features(g), sides(g, 0, 0, 0, 0, 1, 0, 2, 1)]))).toBeLessThan(LIMIT);
    const filled = (g: GraphWriter) => g.node('PadV2', [features(g), sides(g, 0, 0, 1, 1, 1, 1, 0, 0), g.float(0.5)]);
    expect(await difference(filled)).toBeLessThan(LIMIT);
    const mirrored = (g: GraphWriter) =>
      g.node('MirrorPad', [features(g), sides(g, 0, 0, 1, 2, 3, 0, 0, 0)], { mode: { s: text('REFLECT') } });
    expect(await difference(mirrored)).toBeLessThan(LIMIT);
    const convolved = (g: GraphWriter) =>
      g.node(
        'Conv2D',
        [g.node('Pad', ['image', sides(g, 0, 0, 3, 3, 3, 3, 0, 0)]), g.weights(7, 7, 3, 4)],
        conv(2, 'VALID'),
      );
    expect(await difference(convolved)).toBeLessThan(LIMIT);
  });

  test('Concat, Split, SplitV, Pack, Unpack, Slice, StridedSlice, Gather, Tile', async () => {
    const axis = { axis: { i: '1' } };
    for (const at of [1, 2, 3]) {
      expect(await difference((g) => g.node('ConcatV2', [features(g), features(g), g.int(at)]))).toBeLessThan(LIMIT);
      expect(await difference((g) => g.node('GatherV2', [features(g), g.ints(2, 0, 2), g.int(at)]))).toBeLessThan(
        LIMIT,
      );
    }
    const halves = (g: GraphWriter) => {
      const split = g.node('Split', [g.int(3), features(g)], { num_split: { i: '2' } });
      return g.node('ConcatV2', [`${split}:1`, split, g.int(3)]);
    };
    expect(await difference(halves)).toBeLessThan(LIMIT);
    const uneven = (g: GraphWriter) => {
      const split = g.node('SplitV', [features(g), g.ints(4, -1), g.int(1)], { num_split: { i: '2' } });
      return g.node('ConcatV2', [`${split}:1`, split, g.int(1)]);
    };
    expect(await difference(uneven)).toBeLessThan(LIMIT);
    expect(await difference((g) => g.node('Pack', [features(g), features(g)], axis))).toBeLessThan(LIMIT);
    expect(
      await difference((g) => `${g.node('Unpack', [features(g)], { axis: { i: '3' }, num: { i: '6' } })}:4`),
    ).toBeLessThan(LIMIT);
    expect(
      await difference((g) => g.node('Slice', [features(g), g.ints(0, 1, 2, 0), g.ints(-1, 5, -1, 4)])),
    ).toBeLessThan(LIMIT);
    const strided = (g: GraphWriter) =>
      g.node('StridedSlice', [features(g), g.ints(0, 1, 0, 0), g.ints(0, 9, 8, 6), g.ints(1, 3, 2, 1)], {
        begin_mask: { i: '1' },
        end_mask: { i: '1' },
      });
    expect(await difference(strided)).toBeLessThan(LIMIT);
    const shrunk = (g: GraphWriter) =>
      g.node('StridedSlice', [features(g), g.ints(0, 2), g.ints(0, 3), g.ints(1, 1)], {
        begin_mask: { i: '1' },
        end_mask: { i: '1' },
        shrink_axis_mask: { i: '2' },
      });
    expect(await difference(shrunk)).toBeLessThan(LIMIT);
    expect(await difference((g) => g.node('Tile', [features(g), g.ints(1, 2, 1, 3)]))).toBeLessThan(LIMIT);
  });

  test('shapes computed while the graph runs: the batch stays free', async () => {
    const flatten = (g: GraphWriter) => {
      const at = features(g);
      const shape = g.node('Shape', [at]);
      const masks = { shrink_axis_mask: { i: '1' } };
      const batch = g.node('StridedSlice', [shape, g.ints(0), g.ints(1), g.ints(1)], masks);
      const rest = g.node('Prod', [g.node('StridedSlice', [shape, g.ints(1), g.ints(4), g.ints(1)]), g.ints(0)]);
      return g.node('Reshape', [at, g.node('Pack', [batch, rest])]);
    };
    expect(await difference(flatten)).toBeLessThan(LIMIT);
    const shuffle = (g: GraphWriter) => {
      const grouped = g.node('Reshape', [features(g), g.ints(-1, 11, 8, 2, 3)]);
      const turned = g.node('Transpose', [grouped, g.ints(0, 1, 2, 4, 3)]);
      const image = g.node('Reshape', [turned, g.ints(-1, 11, 8, 6)]);
      return g.node('Conv2D', [image, g.weights(1, 1, 6, 3)], conv(1, 'SAME'));
    };
    expect(await difference(shuffle)).toBeLessThan(LIMIT);
    const pooled = (g: GraphWriter) => {
      const mean = g.node('Mean', [features(g), g.ints(1, 2)], { keep_dims: { b: true } });
      const logits = g.node('Conv2D', [mean, g.weights(1, 1, 6, 5)], conv(1, 'SAME'));
      return g.node('Squeeze', [logits], { squeeze_dims: ints(1, 2) });
    };
    expect(await difference(pooled)).toBeLessThan(LIMIT);
    const expanded = (g: GraphWriter) => {
      const mean = g.node('Mean', [features(g), g.ints(1, 2)]);
      const image = g.node('ExpandDims', [g.node('ExpandDims', [mean, g.int(1)]), g.int(1)]);
      return g.node('Mul', [features(g), g.node('Sigmoid', [image])]);
    };
    expect(await difference(expanded)).toBeLessThan(LIMIT);
  });

  test('weights that are computed from weights', async () => {
    const write = (g: GraphWriter) => {
      const variance = g.node('AddV2', [g.positive(6), g.float(0.001)]);
      const scale = g.node('Mul', [g.positive(6), g.node('Rsqrt', [variance])]);
      const kernel = g.node('Mul', [g.node('Identity', [g.weights(3, 3, 3, 6)]), scale]);
      return g.node('Conv2D', ['image', kernel], conv(1, 'SAME'));
    };
    expect(await difference(write)).toBeLessThan(LIMIT);
  });

  test.each(['ResizeBilinear', 'ResizeNearestNeighbor'])(
    '%s, corners aligned, half-pixel centers, neither',
    async (op) => {
      for (const flag of ['align_corners', 'half_pixel_centers', 'none']) {
        for (const size of [
          [22, 16],
          [7, 5],
          [16, 11],
        ]) {
          const write = (g: GraphWriter) =>
            g.node(op, [features(g), g.ints(...size)], flag === 'none' ? {} : { [flag]: { b: true } });
          expect(await difference(write)).toBeLessThan(LIMIT);
        }
      }
    },
  );

  test('DepthToSpace', async () => {
    const deep = (g: GraphWriter) => g.node('Conv2D', ['image', g.weights(1, 1, 3, 12)], conv(1, 'SAME'));
    const attr = { block_size: { i: '2' }, data_format: { s: text('NHWC') } };
    expect(await difference((g) => g.node('DepthToSpace', [deep(g)], attr))).toBeLessThan(LIMIT);
  });
});

describe('graph models', () => {
  test('a MobileNet block with its head gives a class activation map', async () => {
    const writer = new GraphWriter();
    const relu6 = writer.node('Relu6', [features(writer)]);
    const mean = writer.node('Mean', [relu6, writer.ints(1, 2)], { keep_dims: { b: true } });
    const logits = writer.node('BiasAdd', [
      writer.node('Conv2D', [mean, writer.weights(1, 1, 6, 4)], conv(1, 'SAME')),
      writer.weights(4),
    ]);
    const flat = writer.node('Squeeze', [logits], { squeeze_dims: ints(1, 2) });
    const { cam, features: maps } = await runConverted(
      writer.model(writer.node('Softmax', [flat])),
      randomPixels(INPUT, 2),
      INPUT,
    );
    expect(cam).toMatchObject({ channels: 6, classes: 4 });
    expect(maps?.dims).toEqual([2, 6, 11, 8]);
  });

  test('an op that is not covered is named; one that the output does not need is ignored', async () => {
    const writer = new GraphWriter();
    const strange = writer.node('NonMaxSuppressionV5', ['image']);
    const good = writer.node('Relu', ['image']);
    const pixels = randomPixels(INPUT, 1);
    await expect(runConverted(writer.model(strange), pixels, INPUT)).rejects.toMatchObject({
      op: 'NonMaxSuppressionV5',
    });
    const first = { activation: 'softmax', name: 'output_0' } as const;
    await expect(runConverted(writer.model(good, strange), pixels, INPUT, first)).resolves.toBeDefined();
    const second = { activation: 'softmax', name: 'output_1' } as const;
    await expect(runConverted(writer.model(strange, good), pixels, INPUT, second)).resolves.toBeDefined();
  });

  test('a stride that is not a number is refused', async () => {
    const writer = new GraphWriter();
    const attr = { ...conv(1, 'SAME'), strides: { list: { i: ['1', '../../etc', '1', '1'] } } };
    const graph = writer.model(writer.node('Conv2D', ['image', writer.weights(3, 3, 3, 4)], attr));
    await expect(runConverted(graph, randomPixels(INPUT, 1), INPUT)).rejects.toMatchObject({
      code: 'TOPOLOGY_INVALID',
    });
  });

  test('a loop and a missing node are refused', async () => {
    const writer = new GraphWriter();
    const first = writer.node('Relu', ['later']);
    writer.nodes.push({ name: 'later', op: 'Relu', input: [first], attr: {} });
    const pixels = randomPixels(INPUT, 1);
    await expect(runConverted(writer.model(first), pixels, INPUT)).rejects.toMatchObject({ code: 'UNSUPPORTED_OP' });
    const dangling = new GraphWriter();
    await expect(runConverted(dangling.model(dangling.node('Relu', ['nobody'])), pixels, INPUT)).rejects.toThrow(
      /nobody/,
    );
  });
});
