import type { TraceGraph } from '../onnx-reader/input-trace.ts';
import type { OnnxGraph } from '../onnx-writer/graph/graph.ts';

const MAX_NUMBERS = 64;

/** A tfjs model that was converted with normalization `none` and not folded, for those who follow the image through it. */
export function traceGraphOf(graph: OnnxGraph): TraceGraph {
  const nodes = graph.nodes.map(({ op, inputs, outputs, attributes }) => {
    const { perm, epsilon, group } = attributes;
    return {
      op,
      inputs,
      outputs,
      perm: perm && 'ints' in perm ? perm.ints : undefined,
      epsilon: epsilon && 'float' in epsilon ? epsilon.float : undefined,
      group: group && 'int' in group ? group.int : undefined,
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
  const outputs = graph.outputs.map(({ name }) => name);
  return { nodes, constantOf, outputs, convolution: { layout: 'nchw', channelsAxis: 1 } };
}
