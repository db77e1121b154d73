import { z } from 'zod';
import { ModelError } from '../../errors.ts';
import { GraphIndex } from '../graph/fold-graph.ts';
import type { OnnxGraph, OnnxNode } from '../graph/graph.ts';

const rangesSchema = z.object({
  /** The number of calibration images. */
  images: z.int().min(1),
  /** Fingerprint of the graph that the names belong to. */
  graph: z.string(),
  /** The smallest and largest value of each tensor. */
  ranges: z.record(z.string(), z.tuple([z.number(), z.number()])),
});

/** What calibration saw, as `calibration.json` keeps it: ranges, not images. */
export type Calibration = z.infer<typeof rangesSchema>;

/** @throws ModelError SPEC_INVALID */
export function parseCalibration(text: string, file: string): Calibration {
  try {
    return rangesSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new ModelError('SPEC_INVALID', `${file} is not a calibration: create it again with the quantize command`, {
      cause,
    });
  }
}

/** Ops that run on bytes in onnxruntime. */
const QUANTIZED_OPS = new Set(['Conv', 'Gemm', 'Add', 'MaxPool', 'AveragePool', 'GlobalAveragePool', 'Concat']);
/** A range cut at zero, or at zero and six, does what these do. */
const CUT_OPS = new Set(['Relu', 'Clip']);

/** Whether a node's work is done on bytes. */
export function isQuantized(index: GraphIndex, node: OnnxNode): boolean {
  if (!QUANTIZED_OPS.has(node.op)) return false;
  if (node.op === 'Conv' || node.op === 'Gemm') return index.constant(node.inputs[1]) !== undefined;
  return node.inputs.every((input) => index.constant(input) === undefined);
}

/** The activation that is the only reader of a node, whose output's range then replaces the node's. */
export function cutAfter(index: GraphIndex, node: OnnxNode): OnnxNode | undefined {
  const follower = index.onlyReader(node.outputs[0]);
  return follower && CUT_OPS.has(follower.op) ? follower : undefined;
}

/** The tensors that have to be known by their range: what quantized nodes read and write. */
export function tensorsToQuantize(graph: OnnxGraph): string[] {
  const index = new GraphIndex(graph);
  const names = new Set<string>();
  for (const node of graph.nodes) {
    if (!isQuantized(index, node)) continue;
    const activations = node.op === 'Conv' || node.op === 'Gemm' ? node.inputs.slice(0, 1) : node.inputs;
    for (const input of activations) names.add(input);
    const output = (cutAfter(index, node) ?? node).outputs[0];
    // The last dense layer's output goes to a softmax: it stays exact.
    if (output !== undefined && node.op !== 'Gemm') names.add(output);
  }
  return [...names];
}
