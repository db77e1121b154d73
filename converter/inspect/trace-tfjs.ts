import { type InputTrace, traceInput } from '../onnx-reader/input-trace.ts';
import type { OnnxGraph } from '../onnx-writer/graph/graph.ts';

const MAX_NUMBERS = 64;

/** Follows the image through a tfjs model that was converted with normalization `none` and not folded. */
export function traceConverted(graph: OnnxGraph): InputTrace {
  const nodes = graph.nodes.map(({ op, inputs, outputs, attributes }) => {
    const { perm, epsilon } = attributes;
    return {
      op,
      inputs,
      outputs,
      perm: perm && 'ints' in perm ? perm.ints : undefined,
      epsilon: epsilon && 'float' in epsilon ? epsilon.float : undefined,
    };
  });
  const constantOf = (name: string) => {
    const tensor = graph.constants.get(name);
    if (!tensor) return undefined;
    const { data } = tensor;
    return {
      shape: tensor.shape,
      readFloats: () => (data instanceof Float32Array ? data : undefined),
      values: tensor.data.length <= MAX_NUMBERS ? Array.from(tensor.data, Number) : undefined,
    };
  };
  const input = graph.inputs[0]?.name ?? '';
  return traceInput({ nodes, constantOf, convolution: { layout: 'nchw', channelsAxis: 1 } }, input);
}
