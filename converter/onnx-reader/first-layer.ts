import type { TraceGraph, TraceNode } from './input-trace.ts';

/** What a model's first convolution does, together with the arithmetic per filter behind it, such as a batch normalization. */
export interface FirstLayer {
  /** The standard deviation of its weights. */
  weightSpread: number;
  /** The standard deviation of its offsets; 0 if it has none. */
  offsetSpread: number;
  /**
   * The mean of the values that it was trained on, as its offsets show: a batch normalization subtracts the mean of each filter's answers, which
   * is this mean times the sum of the filter's weights. Undefined if there are too few filters.
   */
  inputMean: { value: number; error: number } | undefined;
}

const PASSING = new Set(['Identity', 'Cast', 'Transpose']);
const ARITHMETIC = new Set(['Add', 'Sub', 'Mul', 'Div']);
const MIN_FILTERS = 8;
const MAX_STEPS = 16;

/**
 * Reads the first convolution.
 * @returns undefined if its weights are not plain floats
 */
export function readFirstLayer(graph: TraceGraph, node: TraceNode): FirstLayer | undefined {
  const [, weightsName = '', biasName = ''] = node.inputs;
  const weights = graph.constantOf(weightsName);
  const numbers = weights?.readFloats?.();
  const filters = graph.convolution.layout === 'nchw' ? weights?.shape[0] : weights?.shape.at(-1);
  if (node.op !== 'Conv' || !numbers?.length || !filters) return undefined;
  const at = (i: number) =>
    graph.convolution.layout === 'nchw' ? Math.floor((i * filters) / numbers.length) : i % filters;
  const bias = floatsOf(graph, biasName) ?? [];
  const lines = Array.from({ length: filters }, (_, i) => ({ scale: 1, offset: bias[i] ?? 0 }));
  followFilters(graph, node.outputs[0] ?? '', lines);
  const scaled = numbers.map((weight, i) => weight * (lines[at(i)]?.scale ?? 1));
  const sums = Array<number>(filters).fill(0);
  for (const [i, weight] of scaled.entries()) sums[at(i)] = (sums[at(i)] ?? 0) + weight;
  const offsets = lines.map(({ offset }) => offset);
  return {
    weightSpread: spreadOf(scaled),
    offsetSpread: spreadOf(offsets),
    inputMean: filters < MIN_FILTERS ? undefined : fitMean(sums, offsets),
  };
}

type Lines = { scale: number; offset: number }[];

/** Applies what follows a convolution to its filters, as long as it is arithmetic per filter. */
function followFilters(graph: TraceGraph, output: string, lines: Lines): void {
  let name = output;
  for (let count = 0; count < MAX_STEPS; count++) {
    const readers = graph.nodes.filter(({ inputs }) => inputs.includes(name));
    const [node] = readers;
    if (!node || readers.length > 1) return;
    if (ARITHMETIC.has(node.op)) {
      if (!applyArithmetic(graph, node, name, lines)) return;
    } else if (node.op === 'BatchNormalization') {
      if (!applyBatchNormalization(graph, node, lines)) return;
    } else if (!PASSING.has(node.op)) return;
    name = node.outputs[0] ?? '';
  }
}

function applyArithmetic(graph: TraceGraph, { op, inputs }: TraceNode, name: string, lines: Lines): boolean {
  const [left = '', right = ''] = inputs;
  const isFirst = left === name;
  const values = floatsOf(graph, isFirst ? right : left);
  if (!values || (values.length !== 1 && values.length !== lines.length)) return false;
  if (!isFirst && (op === 'Sub' || op === 'Div')) return false;
  for (const [i, line] of lines.entries()) {
    const value = values[values.length === 1 ? 0 : i] ?? 0;
    if (op === 'Add') line.offset += value;
    else if (op === 'Sub') line.offset -= value;
    else {
      const factor = op === 'Mul' ? value : 1 / value;
      line.scale *= factor;
      line.offset *= factor;
    }
  }
  return true;
}

/** `(x - mean) / sqrt(variance + epsilon) * gamma + beta`; inputs: x, gamma, beta, mean, variance. */
function applyBatchNormalization(graph: TraceGraph, { inputs, epsilon = 1e-5 }: TraceNode, lines: Lines): boolean {
  const [gamma, beta, mean, variance] = inputs.slice(1, 5).map((name) => floatsOf(graph, name));
  if (!gamma || !beta || !mean || variance?.length !== lines.length) return false;
  for (const [i, line] of lines.entries()) {
    const factor = (gamma[i] ?? 1) / Math.sqrt((variance[i] ?? 1) + epsilon);
    line.scale *= factor;
    line.offset = (line.offset - (mean[i] ?? 0)) * factor + (beta[i] ?? 0);
  }
  return true;
}

function floatsOf(graph: TraceGraph, name: string): ArrayLike<number> | undefined {
  const constant = graph.constantOf(name);
  return constant?.values ?? constant?.readFloats?.();
}

/** The mean that explains offsets best: `offset = c - mean * sum`, by least squares, with its standard error. */
function fitMean(sums: number[], offsets: number[]): FirstLayer['inputMean'] {
  const [sumMean, offsetMean] = [averageOf(sums), averageOf(offsets)];
  let squares = 0;
  let products = 0;
  for (const [i, sum] of sums.entries()) {
    squares += (sum - sumMean) ** 2;
    products += (sum - sumMean) * ((offsets[i] ?? 0) - offsetMean);
  }
  const value = -products / squares;
  const rest = sums.reduce(
    (total, sum, i) => total + ((offsets[i] ?? 0) - offsetMean + value * (sum - sumMean)) ** 2,
    0,
  );
  const error = Math.sqrt(rest / (sums.length - 2) / squares);
  return Number.isFinite(value) && Number.isFinite(error) ? { value, error } : undefined;
}

function averageOf(values: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i] ?? 0;
  return sum / values.length;
}

function spreadOf(values: ArrayLike<number>): number {
  const mean = averageOf(values);
  let squares = 0;
  for (let i = 0; i < values.length; i++) squares += ((values[i] ?? 0) - mean) ** 2;
  return Math.sqrt(squares / values.length);
}
