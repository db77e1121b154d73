/** ONNX classifiers whose last step is a loop without an end. */
import onnxProto, { type onnx } from 'onnx-proto';
import { encodeClassifier } from './onnx-file.fixture.ts';

const { ModelProto, AttributeProto, TensorProto } = onnxProto.onnx;
const { BOOL, FLOAT, INT64 } = TensorProto.DataType;

const port = (name: string, elemType: number, shape?: onnx.ITensorShapeProto): onnx.IValueInfoProto => ({
  name,
  type: { tensorType: { elemType, ...(shape && { shape }) } },
});
const scalar = (name: string, elemType: number) => port(name, elemType, { dim: [] });
const identity = (input: string, output: string): onnx.INodeProto => ({
  opType: 'Identity',
  input: [input],
  output: [output],
});

/**
 * A classifier of 8 x 8 images, then `while (true)`.
 * @param collects whether each iteration keeps another megabyte, too
 */
export function encodeEndlessClassifier({ collects = false } = {}): Uint8Array {
  const model = ModelProto.decode(encodeClassifier());
  const graph = model.graph as onnx.GraphProto;
  const [answer] = graph.output;
  const forever = { name: 'forever', dims: [], dataType: BOOL, int32Data: [1] };
  const megabyte = { name: 'megabyte', dims: [2], dataType: INT64, int64Data: [512, 512] };
  const body: onnx.IGraphProto = {
    name: 'body',
    input: [scalar('i', INT64), scalar('goes_on', BOOL), port('scores', FLOAT)],
    node: [
      identity('goes_on', 'still_goes_on'),
      identity('scores', 'same_scores'),
      ...(collects ? [{ opType: 'ConstantOfShape', input: ['megabyte'], output: ['kept'] }] : []),
    ],
    output: [scalar('still_goes_on', BOOL), port('same_scores', FLOAT), ...(collects ? [port('kept', FLOAT)] : [])],
  };
  graph.initializer.push(TensorProto.fromObject(forever), TensorProto.fromObject(megabyte));
  const loop = {
    opType: 'Loop',
    input: ['', 'forever', answer?.name ?? ''],
    output: ['looped', ...(collects ? ['all'] : [])],
    attribute: [{ name: 'body', type: AttributeProto.AttributeType.GRAPH, g: body }],
  };
  graph.node.push(onnxProto.onnx.NodeProto.fromObject(loop));
  graph.output[0] = onnxProto.onnx.ValueInfoProto.fromObject({ ...answer, name: 'looped' });
  return ModelProto.encode(model).finish();
}
