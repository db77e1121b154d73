import onnxProto, { type onnx } from 'onnx-proto';
import { expect, test } from 'vitest';
import { encodeClassifier } from '../golden/onnx-file.fixture.ts';
import { decodeOnnx } from './decode-onnx.ts';
import { readFacts } from './inputs-and-outputs.ts';

/** What is read of a classifier whose input has another type. */
function inputOf(type: onnx.ITypeProto) {
  const { model, graph } = decodeOnnx(encodeClassifier());
  if (graph.input[0]) graph.input[0].type = type;
  // A convolution would show the layout.
  if (graph.node[0]) graph.node[0].opType = 'Unsqueeze';
  return readFacts(decodeOnnx(onnxProto.onnx.ModelProto.encode(model).finish())).input;
}

const tensor = (...sizes: number[]) => ({
  tensorType: { elemType: 1, shape: { dim: sizes.map((dimValue) => ({ dimValue })) } },
});

test('a gray image with its channel last may lack the batch', () => {
  expect(inputOf(tensor(28, 28, 1))).toMatchObject({
    batch: 1,
    height: 28,
    width: 28,
    channels: 1,
    layout: 'nhwc',
    without: 'batch',
  });
  // As many numbers per moment.
  expect(() => inputOf(tensor(28, 100, 1))).toThrow('which is not an image');
});

test('a size below zero is an open one', () => {
  expect(inputOf(tensor(-1, 3, 8, 8))).toMatchObject({ batch: undefined, channels: 3 });
});

test.each<[string, onnx.ITypeProto]>([
  ['list', { sequenceType: { elemType: tensor(3, 8, 8) } }],
  ['optional tensor', { optionalType: { elemType: tensor(1, 3, 8, 8) } }],
])('an input that is a %s is called so', (_, type) => {
  expect(() => inputOf(type)).toThrow(/takes input, which is a list, a map or optional: expected a tensor/);
});
