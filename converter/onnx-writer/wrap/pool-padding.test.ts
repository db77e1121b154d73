import onnxProto from 'onnx-proto';
import ort from 'onnxruntime-node';
import { expect, test } from 'vitest';
import { decodeOnnx } from '../../onnx-reader/decode-onnx.ts';
import { encodeModel } from '../graph/encode-onnx.ts';
import { floatTensor, int64Tensor, type OnnxNode } from '../graph/graph.ts';
import { keepPoolPadding } from './pool-padding.ts';

const { onnx } = onnxProto;
const POOL = { kernel_shape: { ints: [3, 3] }, strides: { ints: [2, 2] } };
const AROUND = { pads: { ints: [1, 1, 1, 1] } };

/** Values below zero, zeros around them, and the largest of windows. */
function fileOf(between: OnnxNode['op'][], pool: OnnxNode['attributes'], opset: number): Uint8Array {
  const isInput = opset >= 11;
  const steps = between.map((op, i) => ({
    op,
    inputs: [`v${i}`],
    outputs: [`v${i + 1}`],
    attributes: op === 'Transpose' ? { perm: { ints: [0, 1, 3, 2] } } : {},
  }));
  const pads = isInput ? {} : { pads: { ints: [0, 0, 1, 1, 0, 0, 1, 1] } };
  const bytes = encodeModel(
    {
      nodes: [
        { op: 'Pad', inputs: isInput ? ['x', 'pads'] : ['x'], outputs: ['v0'], attributes: pads },
        ...steps,
        { op: 'MaxPool', inputs: [`v${between.length}`], outputs: ['y'], attributes: { ...POOL, ...pool } },
      ],
      constants: new Map(isInput ? [['pads', int64Tensor([0, 0, 1, 1, 0, 0, 1, 1])]] : []),
      inputs: [{ name: 'x', type: 'float32', shape: [1, 2, 6, 6] }],
      outputs: [{ name: 'y', type: 'float32', shape: [1, 2, -2, -2] }],
    },
    'pool',
  );
  const { model } = decodeOnnx(bytes);
  model.opsetImport = [onnx.OperatorSetIdProto.create({ domain: '', version: opset })];
  return onnx.ModelProto.encode(model).finish();
}

async function run(bytes: Uint8Array, graphOptimizationLevel: 'all' | 'disabled'): Promise<number[]> {
  const session = await ort.InferenceSession.create(bytes, {
    graphOptimizationLevel,
    intraOpNumThreads: 1,
    logSeverityLevel: 3,
  });
  const x = new ort.Tensor(
    'float32',
    floatTensor(
      [72],
      Array.from({ length: 72 }, (_, i) => -1 - i),
    ).data as Float32Array,
    [1, 2, 6, 6],
  );
  const { y } = await session.run({ x });
  await session.release();
  return Array.from((y?.data ?? []) as Float32Array);
}

test.each([
  ['no padding', [], {}, 17],
  ['padding that is zero', [], { pads: { ints: [0, 0, 0, 0] }, auto_pad: { text: 'NOTSET' } }, 17],
  ['padding besides', [], AROUND, 17],
  ['sizes rounded up', [], { ceil_mode: { int: 1 } }, 17],
  ['padding that it computes', [], { auto_pad: { text: 'SAME_UPPER' } }, 17],
  ['an Identity before', ['Identity'], {}, 17],
  ['two Transposes before', ['Transpose', 'Transpose'], AROUND, 17],
  ['padding besides, opset 9', [], AROUND, 9],
  ['no padding, opset 7', [], {}, 7],
  ['padding besides, opset 7', [], AROUND, 7],
] as const)(
  'a MaxPool with %s reads the zeros of a Pad when onnxruntime optimizes',
  async (_, between, pool, opset) => {
    const file = fileOf([...between], pool, opset);
    const { model, graph } = decodeOnnx(file);
    keepPoolPadding(graph, opset, 'own_');
    const optimized = await run(onnx.ModelProto.encode(model).finish(), 'all');
    const expected = await run(file, 'disabled');
    expect(optimized.length).toBe(expected.length);
    for (const [i, value] of expected.entries()) expect(optimized[i]).toBeCloseTo(value, 30);
  },
);

test('a circle of nodes ends', () => {
  const { graph } = decodeOnnx(fileOf(['Identity', 'Identity'], {}, 17));
  const [, first] = graph.node;
  if (first) first.input = ['v2'];
  keepPoolPadding(graph, 17, 'own_');
  expect(graph.node.length).toBe(4);
});
