import onnxProto from 'onnx-proto';
import ort from 'onnxruntime-node';
import { describe, expect, test } from 'vitest';
import { createRandom, inputOf, largestDifference, randomPixels } from '../golden/harness.fixture.ts';
import { normalizationOf } from '../normalization.ts';
import { parseSpec } from '../spec.ts';
import { BATCH, floatTensor, type OnnxGraph } from './graph.ts';
import { wrapOnnx } from './wrap-onnx-file.ts';
import { encodeModel } from './write.ts';

const { onnx } = onnxProto;
const INPUT = inputOf(6, 5, 3);

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

  test('that takes batches of one is refused unless the spec says so', () => {
    expect(() => wrapOnnx(denseModel(true, 1), specOf({}))).toThrow(/maxBatchSize: expected 1/);
    expect(wrapOnnx(denseModel(true, 1), specOf({}, { maxBatchSize: 1 })).classCount).toBe(4);
  });

  test('of another size, with weights elsewhere, or that is none at all is refused', () => {
    const other = parseSpec(JSON.stringify({ ...specOf({}), input: { ...specOf({}).input, width: 9 } }), 'model.json5');
    expect(() => wrapOnnx(denseModel(true), other)).toThrow(/takes images of 3 x 6 x 5/);
    expect(() => wrapOnnx(new Uint8Array([1, 2, 3, 4]), specOf({}))).toThrow(/not an ONNX model|no graph/);
    const model = onnx.ModelProto.decode(denseModel(true));
    model.graph!.initializer![0]!.externalData = [{ key: 'location', value: '../../etc/passwd' }];
    expect(() => wrapOnnx(onnx.ModelProto.encode(model).finish(), specOf({}))).toThrow(/other files/);
    const constant = onnx.ModelProto.decode(denseModel(true));
    const [tensor] = constant.graph!.initializer!.splice(0, 1);
    const value = { ...tensor, externalData: [{ key: 'location', value: '../../etc/passwd' }] };
    const attribute = [{ name: 'value', type: onnx.AttributeProto.AttributeType.TENSOR, t: value }];
    constant.graph!.node!.unshift({ opType: 'Constant', output: ['kernel'], attribute } as never);
    expect(() => wrapOnnx(onnx.ModelProto.encode(constant).finish(), specOf({}))).toThrow(/other files/);
    expect(() => wrapOnnx(denseModel(true), specOf({ name: 'logits' }))).toThrow(/expected one of probabilities/);
  });
});
