import { GraphIndex } from '../graph/fold-graph.ts';
import type { OnnxGraph, OnnxNode } from '../graph/graph.ts';

/** Ops with weights that run on bytes in onnxruntime. */
const WEIGHTED_OPS = new Set(['Conv', 'Gemm']);
/** Ops between them that do. */
const PASSING_OPS = new Set(['Add', 'MaxPool', 'AveragePool', 'GlobalAveragePool', 'Concat']);
/** A range cut at zero, or at zero and six, does what these do. */
const CUT_OPS = new Set(['Relu', 'Clip']);

/**
 * The nodes whose work is done on bytes. What only follows the last weights stays exact: it is cheap, and may be probabilities already, such as
 * the two that are joined from one. So does a convolution that has the last weights: its scores must not be cut to those that calibration
 * has seen, and onnxruntime runs it on bytes only if it also writes bytes.
 */
export function quantizedNodes(graph: OnnxGraph): ReadonlySet<OnnxNode> {
  const isConstant = (input: string | undefined) => input !== undefined && graph.constants.has(input);
  const found = new Set<OnnxNode>();
  /** Values that weights are multiplied with later. */
  const used = new Set<string>();
  for (const node of graph.nodes.toReversed()) {
    const isWeighted = WEIGHTED_OPS.has(node.op) && isConstant(node.inputs[1]);
    const isLast = !node.outputs.some((output) => used.has(output));
    if (!isWeighted && isLast) continue;
    for (const input of node.inputs) used.add(input);
    if (isWeighted && isLast && node.op === 'Conv') continue;
    if (isWeighted || (PASSING_OPS.has(node.op) && !node.inputs.some(isConstant))) found.add(node);
  }
  return found;
}

/** The activation that is the only reader of a node, whose output's range then replaces the node's. */
export function cutAfter(index: GraphIndex, node: OnnxNode): OnnxNode | undefined {
  const follower = index.onlyReader(node.outputs[0]);
  return follower && CUT_OPS.has(follower.op) ? follower : undefined;
}

/** The tensors that have to be known by their range: what quantized nodes read and write. */
export function tensorsToQuantize(graph: OnnxGraph): string[] {
  const index = new GraphIndex(graph);
  const quantized = quantizedNodes(graph);
  const names = new Set<string>();
  for (const node of graph.nodes) {
    if (!quantized.has(node)) continue;
    const activations = WEIGHTED_OPS.has(node.op) ? node.inputs.slice(0, 1) : node.inputs;
    for (const input of activations) names.add(input);
    const output = (cutAfter(index, node) ?? node).outputs[0];
    // The last dense layer's output goes to a softmax: it stays exact.
    if (output !== undefined && node.op !== 'Gemm') names.add(output);
  }
  return [...names];
}
