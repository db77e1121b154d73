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
  const producerOf = producersOf(nodes);
  const node = skipPassing(output, producerOf);
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

function producersOf(nodes: readonly Node[]): ProducerOf {
  const producers = new Map(nodes.flatMap((node) => (node.output ?? []).map((name) => [name, node] as const)));
  return (name) => (name === undefined ? undefined : producers.get(name));
}

/** What makes the numbers of a value, which later operators may give another form. */
function skipPassing(name: string | undefined, producerOf: ProducerOf): Node | undefined {
  const seen = new Set<Node>();
  let node = producerOf(name);
  while (node && PASSING.has(node.opType ?? '') && !seen.has(node)) {
    seen.add(node);
    node = producerOf(node.input?.[0]);
  }
  return node;
}

/** Operators between a sum of squares and the length that a vector is divided by. */
const OF_LENGTH = new Set(['Sqrt', 'Reciprocal', 'Max', 'Clip', 'Add', 'Expand']);

/** Whether a graph ends in the division of a vector by its length, `x / sqrt(sum(x * x))` or `x * rsqrt(…)`. */
export function hasUnitLength(nodes: readonly Node[], output: string): boolean {
  const producerOf = producersOf(nodes);
  const end = skipPassing(output, producerOf);
  if (end?.opType !== 'Mul' && end?.opType !== 'Div') return false;
  return (end.input ?? []).some((name) => {
    let node = skipPassing(name, producerOf);
    let hasRoot = false;
    // The chain is short; the bound is for graphs with loops.
    for (let step = 0; node && OF_LENGTH.has(node.opType ?? '') && step < 8; step++) {
      hasRoot ||= node.opType === 'Sqrt';
      node = skipPassing(
        node.input?.find((input) => producerOf(input) !== undefined),
        producerOf,
      );
    }
    return (
      node?.opType === 'ReduceL2' || (hasRoot && (node?.opType === 'ReduceSum' || node?.opType === 'ReduceSumSquare'))
    );
  });
}

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
