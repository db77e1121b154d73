import type { onnx } from 'onnx-proto';
import type { OutputSpec } from '../spec/spec.ts';

type Node = onnx.INodeProto;

/** What the last operators of a graph make its output; `certain` is false if they are none of the usual ones. */
export interface GraphEnding {
  activation: OutputSpec['activation'];
  certain: boolean;
  /** The operator that decides, for people. LogSigmoid, which ONNX does not have, stands for the operators that compute it. */
  op: string;
}

/** Operators that change the form of an output and not its numbers. */
const PASSING = new Set([
  'Identity',
  'Cast',
  'CastLike',
  'Reshape',
  'Flatten',
  'Squeeze',
  'Unsqueeze',
  'Transpose',
  'Dropout',
  'DequantizeLinear',
  'QuantizeLinear',
]);

/** Operators whose results have no bounds, so that they cannot be probabilities. */
const UNBOUNDED = new Set(['Gemm', 'MatMul', 'Conv', 'LogSoftmax', 'Log', 'QGemm', 'QLinearMatMul', 'FusedMatMul']);

/**
 * Reads from a graph whether its output is probabilities already, and of which kind. A softmax of a LogSoftmax is the
 * softmax, so LogSoftmax counts as logits.
 */
export function readEnding(nodes: readonly Node[], output: string): GraphEnding {
  const producers = new Map(nodes.flatMap((node) => (node.output ?? []).map((name) => [name, node] as const)));
  const producerOf = (name: string | undefined) => (name === undefined ? undefined : producers.get(name));
  const seen = new Set<Node>();
  let node = producerOf(output);
  while (node && PASSING.has(node.opType ?? '') && !seen.has(node)) {
    seen.add(node);
    node = producerOf(node.input?.[0]);
  }
  const op = node?.opType ?? '(none)';
  if (!node) return { activation: 'logits', certain: false, op };
  if (op === 'Softmax' || isSpelledSoftmax(node, producerOf)) return { activation: 'softmax', certain: true, op };
  if (op === 'Sigmoid' || op === 'HardSigmoid' || isSpelledSigmoid(node, producerOf)) {
    return { activation: 'sigmoid', certain: true, op };
  }
  if (isLogSigmoid(node, producerOf)) return { activation: 'logits', certain: false, op: 'LogSigmoid' };
  const isBias = op === 'Add' && (node.input ?? []).some((name) => UNBOUNDED.has(producerOf(name)?.opType ?? ''));
  return { activation: 'logits', certain: UNBOUNDED.has(op) || isBias, op };
}

type ProducerOf = (name: string | undefined) => Node | undefined;

/** `exp(x) / sum(exp(x))`, as some exporters write it. */
function isSpelledSoftmax(node: Node, producerOf: ProducerOf): boolean {
  const [exponent, sum] = node.input ?? [];
  if (node.opType !== 'Div' || producerOf(exponent)?.opType !== 'Exp') return false;
  const below = producerOf(sum);
  return below?.opType === 'ReduceSum' && below.input?.[0] === exponent;
}

/** Operators with a constant that keeps a logarithm from being infinite, as in `log(sigmoid(x) + 1e-6)`. */
const SAFEGUARDS = new Set(['Add', 'Clip', 'Max']);

/** `log(sigmoid(x))`, as PyTorch's exporters write it, or `-softplus(-x)`. */
function isLogSigmoid(node: Node, producerOf: ProducerOf): boolean {
  const inner = producerOf(node.input?.[0]);
  if (node.opType === 'Neg') return inner?.opType === 'Softplus';
  if (node.opType !== 'Log' || inner === undefined) return false;
  const isSigmoid = (candidate: Node | undefined) =>
    candidate !== undefined && (candidate.opType === 'Sigmoid' || isSpelledSigmoid(candidate, producerOf));
  const isGuarded =
    SAFEGUARDS.has(inner.opType ?? '') && (inner.input ?? []).some((name) => isSigmoid(producerOf(name)));
  return isGuarded || isSigmoid(inner);
}

/** `1 / (1 + exp(-x))`. */
function isSpelledSigmoid(node: Node, producerOf: ProducerOf): boolean {
  const isDivision = node.opType === 'Div' || node.opType === 'Reciprocal';
  const sum = producerOf(node.opType === 'Reciprocal' ? node.input?.[0] : node.input?.[1]);
  if (!isDivision || sum?.opType !== 'Add') return false;
  const exponent = (sum.input ?? []).map(producerOf).find((candidate) => candidate?.opType === 'Exp');
  return producerOf(exponent?.input?.[0])?.opType === 'Neg';
}
