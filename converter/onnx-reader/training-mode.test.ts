import onnxProto from 'onnx-proto';
import { describe, expect, test } from 'vitest';
import { decodeOnnx } from './decode-onnx.ts';
import { refuseTraining } from './training-mode.ts';

const { onnx } = onnxProto;
type Node = onnxProto.onnx.INodeProto;

const one = (name: string, dataType: number, value: number) => ({
  name,
  dims: [],
  dataType,
  ...(dataType === 1 ? { floatData: [value] } : { int32Data: [value] }),
});
const whole = (name: string, i: number) => ({ name, type: 2, i });
const dropout = (ratio = 'half', mode = 'yes'): Node => ({
  opType: 'Dropout',
  input: ['x', ratio, mode],
  output: ['y'],
});

function decode(node: Node[], functions: object[] = []) {
  const initializer = [one('half', 1, 0.5), one('zero', 1, 0), one('yes', 9, 1), one('no', 9, 0)];
  const model = onnx.ModelProto.create({ irVersion: 8, graph: { name: 'g', node, initializer }, functions });
  return decodeOnnx(onnx.ModelProto.encode(model).finish());
}

describe('training mode is refused', () => {
  const constant: Node = {
    opType: 'Constant',
    output: ['mode'],
    attribute: [{ name: 'value', type: 4, t: { dims: [], dataType: 9, rawData: Uint8Array.of(1) } }],
  };
  const branch: Node = {
    opType: 'If',
    input: ['yes'],
    output: ['z'],
    attribute: [{ name: 'then_branch', type: 5, g: { node: [dropout()] } }],
  };
  test.each<[string, Node[], object[]?]>([
    ['dropout', [dropout()]],
    ['dropout whose mode is a node', [constant, dropout('half', 'mode')]],
    ['dropout in a branch', [branch]],
    [
      'dropout in a function',
      [{ opType: 'Own', input: ['x'], output: ['y'] }],
      [{ name: 'Own', node: [constant, dropout('', 'mode')] }],
    ],
    ['batch normalization', [{ opType: 'BatchNormalization', output: ['y'], attribute: [whole('training_mode', 1)] }]],
    ['batch normalization of an old opset', [{ opType: 'BatchNormalization', output: ['y', 'mean', 'variance'] }]],
    ['noise', [{ opType: 'RandomNormalLike', input: ['x'], output: ['y'] }]],
    ['noise of TensorFlow', [{ opType: 'StatelessRandomUniformV2', input: ['x'], output: ['y'] }]],
    ["Keras 3's RandomCrop", [{ opType: 'Slice', input: ['x'], output: ['call/random_crop_1/strided_slice_2:0'] }]],
  ])('of %s', (_, nodes, functions) => {
    expect(() => refuseTraining(decode(nodes, functions))).toThrow(
      /training mode \(\w+ is active\).*model\.eval\(\), or with Keras by keras\.Model\(.*training=False/,
    );
  });
});

test.each<[string, Node[]]>([
  ['dropout that is off', [dropout('half', 'no'), dropout('half', ''), dropout('zero', 'yes')]],
  ['dropout of an old opset, which engines ignore', [{ opType: 'Dropout', input: ['x'], output: ['y', 'mask'] }]],
  ['batch normalization', [{ opType: 'BatchNormalization', output: ['y'], attribute: [whole('training_mode', 0)] }]],
])('%s is accepted', (_, nodes) => {
  expect(() => refuseTraining(decode(nodes))).not.toThrow();
});
