import type { OutputSpec } from '../spec/spec.ts';
import { GraphIndex } from './graph/fold-graph.ts';
import { BATCH, type OnnxGraph, type OnnxNode, transposeTensor } from './graph/graph.ts';

/** What a class activation map is made of: heat[y, x] = sum over c of kernel[class, c] * features[c, y, x]. */
export interface CamHead {
  /** Name of the graph's second output: float32 [batch, channels, height, width]. */
  featuresOutput: string;
  /** The dense layer's weights, row-major [classes, channels]. */
  kernel: Float32Array;
  channels: number;
  classes: number;
}

const FEATURES_OUTPUT = 'features';
const RESHAPES = new Set(['Flatten', 'Reshape', 'Squeeze', 'Identity', 'Transpose']);
const ACTIVATIONS = new Set(['Softmax', 'Sigmoid']);

/**
 * Adds the output `features` to a graph that ends in global average pooling and one dense layer.
 * @see Zhou et al. 2016, Learning Deep Features for Discriminative Localization
 */
export function exposeFeatures(graph: OnnxGraph, output: OutputSpec): CamHead | { unavailable: string } {
  const index = new GraphIndex(graph);
  const upstream = (node: OnnxNode | undefined): OnnxNode | undefined => {
    let at = node;
    while (at && RESHAPES.has(at.op)) at = index.producer(at.inputs[0]);
    return at;
  };
  let head = upstream(index.producer(graph.outputs[0]?.name));
  if (head && ACTIVATIONS.has(head.op)) head = upstream(index.producer(head.inputs[0]));
  const dense = head && denseKernel(index, head);
  if (!head || !dense) return { unavailable: 'the model does not end in one dense layer' };
  const pooling = upstream(index.producer(head.inputs[0]));
  const features = pooling?.inputs[0];
  if (pooling?.op !== 'GlobalAveragePool' || !features) {
    return { unavailable: 'the model does not pool its last feature map by a global average before its dense layer' };
  }
  if (output.activation.endsWith('sigmoid') && dense.classes === 1) {
    return { unavailable: 'the model has one output only' };
  }
  graph.nodes.push({ op: 'Identity', inputs: [features], outputs: [FEATURES_OUTPUT], attributes: {} });
  // Height and width follow from the model; naming them is not needed to run it.
  graph.outputs.push({ name: FEATURES_OUTPUT, type: 'float32', shape: [BATCH, dense.channels, -2, -3] });
  return { featuresOutput: FEATURES_OUTPUT, ...dense };
}

function denseKernel(index: GraphIndex, node: OnnxNode) {
  const kernel = index.constant(node.inputs[1]);
  if (kernel?.type !== 'float32') return undefined;
  const [a = 0, b = 0, ...window] = kernel.shape;
  if (node.op === 'Gemm') {
    return { kernel: transposeTensor(kernel, [1, 0]).data as Float32Array, channels: a, classes: b };
  }
  // A convolution over one pixel is a dense layer: [classes, channels, 1, 1].
  if (node.op !== 'Conv' || window.some((size) => size !== 1)) return undefined;
  return { kernel: kernel.data as Float32Array, channels: b, classes: a };
}
