import onnxProto from 'onnx-proto';
import { ModelError } from '../errors.ts';
import { keepNewerFields } from './newer-fields.ts';

const { onnx } = onnxProto;
keepNewerFields(onnx);

export type OnnxModel = InstanceType<typeof onnx.ModelProto>;
export type OnnxModelGraph = InstanceType<typeof onnx.GraphProto>;

/**
 * Decodes the bytes of an ONNX file.
 * @throws ModelError SOURCE_INVALID
 */
export function decodeOnnx(file: Uint8Array): { model: OnnxModel; graph: OnnxModelGraph } {
  let model: InstanceType<typeof onnx.ModelProto>;
  try {
    model = onnx.ModelProto.decode(file);
  } catch (cause) {
    throw new ModelError('SOURCE_INVALID', 'the file is not an ONNX model', { cause });
  }
  const graph = model.graph;
  if (!graph?.node || graph.node.length === 0)
    throw new ModelError('SOURCE_INVALID', 'the ONNX file contains no graph');
  return { model, graph: graph as OnnxModelGraph };
}
