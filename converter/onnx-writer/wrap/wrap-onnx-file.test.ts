import onnxProto from 'onnx-proto';
import ort from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import { createRandom, inputOf, largestDifference, randomPixels } from '../../golden/harness.fixture.ts';
import { decodeOnnx } from '../../onnx-reader/decode-onnx.ts';
import { normalizationOf } from '../../spec/normalization.ts';
import { parseSpec } from '../../spec/spec.ts';
import { encodeModel } from '../graph/encode-onnx.ts';
import { BATCH, floatTensor, type OnnxGraph } from '../graph/graph.ts';
import { wrapOnnx as wrapDecoded } from './wrap-onnx-file.ts';

const { onnx } = onnxProto;
const INPUT = inputOf(6, 5, 3);

const wrapOnnx = (file: Uint8Array, ...rest: ParametersAfterFirst<typeof wrapDecoded>) =>
  wrapDecoded(decodeOnnx(file), ...rest);

type ParametersAfterFirst<F> = F extends (first: never, ...rest: infer R) => unknown ? R : never;

function specOf(output: object, batching: object = {}, normalization = 'caffe') {
  const { width, height, channels } = INPUT;
  const source = { type: 'folder', model: 'model.onnx', labels: 'labels.txt' };
  const input = { width, height, channels, normalization };
  return parseSpec(JSON.stringify({ source, format: 'onnx', input, output, batching }), 'model.json5');
}

const random = createRandom(5);
const WEIGHTS = Float32Array.from({ length: 90 * 4 }, () => random() - 0.5);

/** A dense layer over all pixels, with names that collide with ours. */
function denseModel(channelsFirst: boolean, batch = BATCH): Uint8Array {
  const graph: OnnxGraph = {
    nodes: [
      { op: 'Flatten', inputs: ['image'], outputs: ['flat'], attributes: { axis: { int: 1 } } },
      { op: 'MatMul', inputs: ['flat', 'kernel'], outputs: ['probabilities'], attributes: {} },
    ],
    constants: new Map([
      [
        'kernel',
        floatTensor(
          [90, 4],
          WEIGHTS.map((value) => value / 1000),
        ),
      ],
    ]),
    inputs: [{ name: 'image', type: 'float32', shape: channelsFirst ? [batch, 3, 6, 5] : [batch, 6, 5, 3] }],
    outputs: [{ name: 'probabilities', type: 'float32', shape: [batch, 4] }],
  };
  return encodeModel(graph, 'dense');
}

function expectedLogits(pixels: Uint8Array, channelsFirst: boolean): number[] {
  const { mean, scale } = normalizationOf({ normalization: 'caffe', channels: 3 });
  const logits = [0, 0, 0, 0];
  for (let i = 0; i < 90; i++) {
    const channel = channelsFirst ? Math.floor(i / 30) : i % 3;
    const place = channelsFirst ? i % 30 : Math.floor(i / 3);
    const from = 2 - channel;
    const value = ((pixels[place * 3 + from] ?? 0) - (mean[from] ?? 0)) * (scale[from] ?? 1);
    for (let k = 0; k < 4; k++) logits[k] = (logits[k] ?? 0) + (value * (WEIGHTS[i * 4 + k] ?? 0)) / 1000;
  }
  return logits;
}

async function run(bytes: Uint8Array, pixels: Uint8Array): Promise<Float32Array> {
  const session = await ort.InferenceSession.create(bytes, { intraOpNumThreads: 1 });
  const image = new ort.Tensor('uint8', pixels, [pixels.length / 90, 6, 5, 3]);
  return (await session.run({ image })).probabilities?.data as Float32Array;
}

describe('an ONNX file', () => {
  test.each([true, false])(
    'gets preprocessing in front and an activation behind (channels first: %s)',
    async (first) => {
      const pixels = randomPixels(INPUT, 1);
      const logits = expectedLogits(pixels, first);
      const { bytes, classCount } = wrapOnnx(denseModel(first), specOf({ activation: 'logits' }));
      expect(classCount).toBe(4);
      const exps = logits.map((value) => Math.exp(value));
      const softmax = exps.map((value) => value / exps.reduce((a, b) => a + b));
      expect(largestDifference(await run(bytes, pixels), softmax)).toBeLessThan(1e-5);
      const sigmoid = wrapOnnx(denseModel(first), specOf({ activation: 'logits-sigmoid' })).bytes;
      const expected = logits.map((value) => 1 / (1 + Math.exp(-value)));
      expect(largestDifference(await run(sigmoid, pixels), expected)).toBeLessThan(1e-5);
      expect(await run(bytes, randomPixels(INPUT, 3))).toHaveLength(12);
    },
  );

  test.each([
    ['Softmax', 'softmax', 'logits'],
    ['Sigmoid', 'sigmoid', 'logits-sigmoid'],
  ] as const)('that ends in %s gets no second activation', async (op, activation, second) => {
    const model = onnx.ModelProto.decode(denseModel(true));
    const [, product] = model.graph!.node!;
    product!.output = ['logits'];
    model.graph!.node!.push({ opType: op, input: ['logits'], output: ['probabilities'] } as never);
    const file = onnx.ModelProto.encode(model).finish();
    const pixels = randomPixels(INPUT, 1);
    const exps = expectedLogits(pixels, true).map((value) => Math.exp(value));
    const sum = exps.reduce((a, b) => a + b);
    const expected = exps.map((value) => (op === 'Softmax' ? value / sum : value / (1 + value)));
    const { bytes } = wrapOnnx(file, specOf({ activation }));
    expect(largestDifference(await run(bytes, pixels), expected)).toBeLessThan(1e-5);
    for (const wrong of ['logits', second]) {
      expect(() => wrapOnnx(file, specOf({ activation: wrong }))).toThrow(
        `ends in ${op} already: expected ${activation}`,
      );
    }
  });

  test('that was wrapped before is wrapped again', async () => {
    const once = wrapOnnx(denseModel(true), specOf({ activation: 'logits' })).bytes;
    const twice = wrapOnnx(once, specOf({ activation: 'softmax' }, {}, 'none')).bytes;
    const pixels = randomPixels(INPUT, 2);
    expect(await run(twice, pixels)).toEqual(await run(once, pixels));
  });

  test('keeps a fixed batch', async () => {
    const { bytes, classCount } = wrapOnnx(denseModel(true, 1), specOf({ activation: 'logits' }));
    expect(classCount).toBe(4);
    const pixels = randomPixels(INPUT, 1);
    const free = wrapOnnx(denseModel(true), specOf({ activation: 'logits' })).bytes;
    expect(await run(bytes, pixels)).toEqual(await run(free, pixels));
    await expect(run(bytes, randomPixels(INPUT, 2))).rejects.toThrow();
  });

  test.each([
    ['float16', onnx.TensorProto.DataType.FLOAT16, 'caffe', 2e-3],
    ['float64', onnx.TensorProto.DataType.DOUBLE, 'caffe', 1e-5],
    ['uint8', onnx.TensorProto.DataType.UINT8, 'none', 1e-5],
    ['int32', onnx.TensorProto.DataType.INT32, 'none', 1e-5],
  ])('that takes %s gets it', async (_, type, normalization, tolerance) => {
    const model = onnx.ModelProto.decode(denseModel(false));
    const [flatten] = model.graph!.node!;
    model.graph!.input![0]!.type!.tensorType!.elemType = type;
    flatten!.input = ['inFloat'];
    const to = [{ name: 'to', type: onnx.AttributeProto.AttributeType.INT, i: onnx.TensorProto.DataType.FLOAT }];
    model.graph!.node!.unshift({ opType: 'Cast', input: ['image'], output: ['inFloat'], attribute: to } as never);
    const spec = specOf({ activation: 'logits' }, {}, normalization);
    const plain = wrapOnnx(denseModel(false), spec).bytes;
    const { bytes } = wrapOnnx(onnx.ModelProto.encode(model).finish(), spec);
    const pixels = randomPixels(INPUT, 2);
    expect(largestDifference(await run(bytes, pixels), await run(plain, pixels))).toBeLessThan(tolerance);
    const caffe = specOf({ activation: 'logits' });
    const again = () => wrapOnnx(onnx.ModelProto.encode(model).finish(), caffe);
    if (normalization === 'none')
      expect(again).toThrow(/input\.normalization: expected none, since the ONNX file takes/);
  });

  test('with a binary head becomes two classes if there are two labels', async () => {
    const model = onnx.ModelProto.decode(denseModel(true));
    const [kernel] = model.graph!.initializer!;
    kernel!.dims = [90, 1];
    kernel!.rawData = kernel!.rawData!.slice(0, 360);
    model.graph!.output![0]!.type!.tensorType!.shape!.dim![1]!.dimValue = 1;
    const file = onnx.ModelProto.encode(model).finish();
    const spec = specOf({ activation: 'logits-sigmoid' });
    const pixels = randomPixels(INPUT, 2);
    const one = wrapOnnx(file, spec, { labelCount: 1 });
    const two = wrapOnnx(file, spec, { labelCount: 2 });
    expect([one.classCount, two.classCount]).toEqual([1, 2]);
    const positive = await run(one.bytes, pixels);
    const expected = [...positive].flatMap((value) => [1 - value, value]);
    expect(largestDifference(await run(two.bytes, pixels), expected)).toBeLessThan(1e-6);
    expect(() => wrapOnnx(file, specOf({ activation: 'logits' }))).toThrow(/expected logits-sigmoid/);
  });

  test('that drops the dimension of a single image gives a row per image, of one image and of several', async () => {
    const model = onnx.ModelProto.decode(denseModel(true));
    const [, product] = model.graph!.node!;
    product!.output = ['rows'];
    model.graph!.node!.push({ opType: 'Squeeze', input: ['rows'], output: ['probabilities'] } as never);
    model.graph!.output![0]!.type!.tensorType!.shape!.dim = [{ dimParam: 'N' }];
    const squeezed = wrapOnnx(onnx.ModelProto.encode(model).finish(), specOf({ activation: 'logits' }), {
      labelCount: 4,
    });
    const plain = wrapOnnx(denseModel(true), specOf({ activation: 'logits' })).bytes;
    for (const count of [1, 3]) {
      const pixels = randomPixels(INPUT, count);
      expect(await run(squeezed.bytes, pixels)).toEqual(await run(plain, pixels));
    }
  });

  test.each([
    [1, 7],
    [1, 17],
    [2, 17],
  ])('of two labels and an open shape, with %d numbers per image, gives two (opset %d)', async (count, opset) => {
    const model = onnx.ModelProto.decode(denseModel(true));
    model.opsetImport![0]!.version = opset;
    const [kernel] = model.graph!.initializer!;
    kernel!.dims = [90, count];
    kernel!.rawData = kernel!.rawData!.slice(0, 360 * count);
    model.graph!.output![0]!.type!.tensorType!.shape = null;
    const { bytes } = wrapOnnx(onnx.ModelProto.encode(model).finish(), specOf({ activation: 'logits-sigmoid' }), {
      labelCount: 2,
    });
    model.graph!.output![0]!.type!.tensorType!.shape = { dim: [{ dimParam: 'N' }, { dimValue: count }] };
    const known = wrapOnnx(onnx.ModelProto.encode(model).finish(), specOf({ activation: 'logits-sigmoid' }), {
      labelCount: 2,
    });
    const pixels = randomPixels(INPUT, 3);
    const answers = await run(bytes, pixels);
    expect(answers).toHaveLength(6);
    expect(answers).toEqual(await run(known.bytes, pixels));
  });

  test('with several outputs is refused until the spec names one', () => {
    const model = onnx.ModelProto.decode(denseModel(true));
    const shape = { dim: [{ dimParam: 'N' }, { dimValue: 90 }] };
    model.graph!.output!.unshift({ name: 'flat', type: { tensorType: { elemType: 1, shape } } } as never);
    const file = onnx.ModelProto.encode(model).finish();
    expect(() => wrapOnnx(file, specOf({}))).toThrow(
      /output\.name: the ONNX file has the outputs flat \(\? x 90\), probabilities \(\? x 4\): expected one of them/,
    );
    expect(wrapOnnx(file, specOf({ name: 'probabilities' })).classCount).toBe(4);
    expect(() => wrapOnnx(file, specOf({ name: 'logits' }))).toThrow(/expected one of flat .*, probabilities/);
  });

  test('with control flow keeps what its branches read from outside', async () => {
    const model = onnx.ModelProto.decode(denseModel(true));
    const [, product] = model.graph!.node!;
    product!.output = ['image2'];
    const branch = (op: string) => ({
      name: op,
      node: [{ opType: op, input: ['image'], output: [`${op}Out`] }],
      output: [{ name: `${op}Out`, type: { tensorType: { elemType: 1 } } }],
    });
    const { GRAPH } = onnx.AttributeProto.AttributeType;
    const attribute = [
      { name: 'then_branch', type: GRAPH, g: branch('Identity') },
      { name: 'else_branch', type: GRAPH, g: branch('Neg') },
    ];
    const [flatten] = model.graph!.node!;
    flatten!.input = ['chosen'];
    product!.output = ['probabilities'];
    model.graph!.initializer!.push({ name: 'yes', dataType: 9, dims: [], rawData: new Uint8Array([1]) } as never);
    model.graph!.node!.unshift({ opType: 'If', input: ['yes'], output: ['chosen'], attribute } as never);
    const { bytes } = wrapOnnx(onnx.ModelProto.encode(model).finish(), specOf({ activation: 'logits' }));
    const plain = wrapOnnx(denseModel(true), specOf({ activation: 'logits' })).bytes;
    const pixels = randomPixels(INPUT, 1);
    expect(largestDifference(await run(bytes, pixels), await run(plain, pixels))).toBeLessThan(1e-6);
  });

  test('of another size, or without any, is refused', () => {
    const other = parseSpec(JSON.stringify({ ...specOf({}), input: { ...specOf({}).input, width: 9 } }), 'model.json5');
    expect(() => wrapOnnx(denseModel(true), other)).toThrow(/takes images of 5 x 6 x 3 .*the spec says 9 x 6 x 3/);
    expect(() => wrapOnnx(new Uint8Array([1, 2, 3, 4]), specOf({}))).toThrow(/not an ONNX model|no graph/);
  });

  test.each(['../../etc/passwd', '/etc/passwd', 'a/../../b', '', 'C:\\b', 'a\0b', './b'])(
    'that keeps its weights in %j is refused',
    (location) => {
      const entry = { key: 'location', value: location };
      const model = onnx.ModelProto.decode(denseModel(true));
      model.graph!.initializer![0]!.externalData = [entry];
      expect(() => wrapOnnx(onnx.ModelProto.encode(model).finish(), specOf({}))).toThrow(/expected a file next to it/);
      const constant = onnx.ModelProto.decode(denseModel(true));
      const [tensor] = constant.graph!.initializer!.splice(0, 1);
      const value = { ...tensor, externalData: [entry] };
      const attribute = [{ name: 'value', type: onnx.AttributeProto.AttributeType.TENSOR, t: value }];
      constant.graph!.node!.unshift({ opType: 'Constant', output: ['kernel'], attribute } as never);
      expect(() => wrapOnnx(onnx.ModelProto.encode(constant).finish(), specOf({}))).toThrow(
        /expected a file next to it/,
      );
    },
  );

  test('names the files with its weights', () => {
    const model = onnx.ModelProto.decode(denseModel(true));
    model.graph!.initializer![0]!.externalData = [{ key: 'location', value: 'weights/model.onnx.data' }];
    const { externalFiles, bytes } = wrapOnnx(onnx.ModelProto.encode(model).finish(), specOf({}));
    expect(externalFiles).toEqual([{ from: 'weights/model.onnx.data', to: 'weights-0.bin' }]);
    const [entry] = onnx.ModelProto.decode(bytes).graph!.initializer![0]!.externalData!;
    expect(entry!.value).toBe('weights-0.bin');
  });
});
