/** What is written otherwise than node by node, for speed: the numbers stay. */
import { describe, expect, test } from 'vitest';
import { type GraphWriter, ints, text } from './graph-writer.fixture.ts';
import { conv, convertOnly, difference, features, LIMIT, sides } from './graphs.fixture.ts';
import { answer } from './layer-files.fixture.ts';

const pooled = (graph: GraphWriter, input: string, op: string, size: number) =>
  graph.node(op, [input], { ...conv(2, 'VALID'), ksize: ints(1, size, size, 1) });

describe('folded nodes agree with tfjs', () => {
  test('a factor in front of a convolution that makes channels of one', async () => {
    const write = (g: GraphWriter) => {
      const single = g.node('Conv2D', ['image', g.weights(3, 3, 3, 1)], conv(1, 'SAME'));
      return g.node('Conv2D', [g.node('Mul', [single, g.float(1, 2, 3)]), g.weights(3, 3, 3, 4)], conv(1, 'SAME'));
    };
    expect(await difference(write)).toBeLessThan(LIMIT);
  });

  test.each(['MaxPool', 'AvgPool', 'Neg'])('a border of zeros that a MaxPool and %s read', async (other) => {
    const write = (g: GraphWriter) => {
      const padded = g.node('Pad', [g.node('Sub', [features(g), g.float(9)]), sides(g, 0, 0, 1, 1, 1, 1, 0, 0)]);
      const second = other === 'Neg' ? pooled(g, g.node('Neg', [padded]), 'MaxPool', 3) : pooled(g, padded, other, 3);
      return g.node('ConcatV2', [pooled(g, padded, 'MaxPool', 3), second, g.int(3)]);
    };
    expect(await difference(write)).toBeLessThan(LIMIT);
  });

  test('a border of zeros around images with their channels last, which onnxruntime turns', async () => {
    const keras_history = ['l1', 0, 0];
    const image = {
      class_name: '__keras_tensor__',
      config: { shape: [null, 4, 3, 3], dtype: 'float32', keras_history },
    };
    const identity = { shape: [1, 1, 3, 3], data: [1, 0, 0, 0, 1, 0, 0, 0, 1] };
    const weights = { kernel: identity, bias: { shape: [3], data: [0, 0, 0] } };
    const convolution = { class_name: 'Conv2D', config: { filters: 3, kernel_size: [1, 1] }, weights };
    const none = [0, 0];
    const values = await answer('3.15.1', [
      { class_name: 'Rescaling', config: { scale: 1, offset: -255 } },
      convolution,
      {
        class_name: 'Pad',
        module: 'keras.src.ops.numpy',
        config: { pad_width: [none, [1, 0], none, none], mode: 'constant' },
        call: { args: [image], kwargs: {} },
      },
      { class_name: 'MaxPooling2D', config: { pool_size: [2, 3], strides: [1, 1] } },
      convolution,
    ]);
    values.slice(0, 3).forEach((value) => {
      expect(value).toBeCloseTo(0, 6);
    });
  });
});

describe('nodes of whole numbers', () => {
  const type = (name: string) => ({ type: name });
  const wholeNumbers = (g: GraphWriter) =>
    g.node('Cast', [g.node('Mul', ['image', g.float(20)])], { SrcT: type('DT_FLOAT'), DstT: type('DT_INT32') });
  const floats = (g: GraphWriter, value: string) =>
    g.node('Cast', [value], { SrcT: type('DT_INT32'), DstT: type('DT_FLOAT') });
  const attr = { half_pixel_centers: { b: true } };

  test.each([
    [22, 16],
    [17, 13],
  ])('resized to %i x %i agree with tfjs', async (height, width) => {
    const nearest = (g: GraphWriter) =>
      floats(g, g.node('ResizeNearestNeighbor', [wholeNumbers(g), g.ints(height, width)], attr));
    expect(await difference(nearest)).toBeLessThan(LIMIT);
    const bilinear = (g: GraphWriter) => g.node('ResizeBilinear', [wholeNumbers(g), g.ints(height, width)], attr);
    expect(await difference(bilinear)).toBeLessThan(LIMIT);
  });

  test.each<[string, (g: GraphWriter) => string[], Record<string, { s: string }>]>([
    ['Pad', () => [], {}],
    ['PadV2', (g) => [g.int(3)], {}],
    ['MirrorPad', () => [], { mode: { s: text('REFLECT') } }],
  ])('with a border agree with tfjs: %s', async (op, more, attributes) => {
    for (const channels of [0, 1]) {
      const padded = (g: GraphWriter) =>
        floats(
          g,
          g.node(op, [wholeNumbers(g), sides(g, 0, 0, 1, 2, 2, 1, channels, channels), ...more(g)], attributes),
        );
      expect(await difference(padded)).toBeLessThan(LIMIT);
    }
  });

  test('are refused by name if onnxruntime has none for them', async () => {
    const axes = (g: GraphWriter) => g.ints(1, 2);
    const mean = (g: GraphWriter) => floats(g, g.node('Mean', [wholeNumbers(g), axes(g)]));
    await expect(convertOnly(mean)).rejects.toThrow(/Mean: node Mean_\d+, of int32/);
    const divided = (g: GraphWriter) => floats(g, g.node('FloorDiv', [wholeNumbers(g), g.int(3)]));
    await expect(convertOnly(divided)).rejects.toThrow(/FloorDiv: node FloorDiv_\d+, of int32/);
  });
});
