import { type FirstLayer, readFirstLayer } from './first-layer.ts';
import type { Statistics } from './trained-values.ts';

/** One operator of a graph of any format, in ONNX' words. */
export interface TraceNode {
  op: string;
  /** Then the values of the graph that its inner graphs read. */
  inputs: readonly string[];
  outputs: readonly string[];
  /** Undefined or empty for ONNX' own operators. */
  domain?: string | undefined;
  /** Of a Transpose. */
  perm?: readonly number[] | undefined;
  /** Of a BatchNormalization. */
  epsilon?: number | undefined;
  /** Of a Conv: in how many parts its channels are convolved. */
  group?: number | undefined;
  /** The branches of an If, or the body of a Loop. */
  inner?: readonly InnerGraph[];
}

export interface InnerGraph {
  nodes: readonly TraceNode[];
  inputs: readonly string[];
  outputs: readonly string[];
}

export interface TraceConstant {
  shape: readonly number[];
  values: readonly number[] | undefined;
  /** Weights of any length; undefined for those that are not plain floats. */
  readFloats?(): Float32Array | undefined;
}

export interface TraceGraph {
  nodes: readonly TraceNode[];
  constantOf(name: string): TraceConstant | undefined;
  /** The values that the graph gives. */
  outputs: readonly string[];
  /** Of the input, batch first; an open size is undefined. */
  sizes?: readonly (number | undefined)[] | undefined;
  /** Where a convolution's weights have their input channels, and which of the image's dimensions they meet. */
  convolution: { layout: Layout; channelsAxis: number };
}

export type Layout = 'nchw' | 'nhwc';

/** What a model does with its input before its first weights. */
export interface InputTrace {
  /** As the first convolution shows it. */
  layout: Layout | undefined;
  channels: number | undefined;
  /** `factor * x + shift` per channel, or for all; factor 1 and shift 0 if there is no arithmetic. */
  factor: number[];
  shift: number[];
  /** The arithmetic in words, such as "divides by 127.5, subtracts 1"; empty if there is none. */
  steps: string[];
  /** Whether red and blue are swapped. */
  reversesChannels: boolean;
  /** Undefined if the first weights are not those of a convolution of plain floats. */
  firstLayer: FirstLayer | undefined;
  /** The model's input in training, if its first weights are those of a batch normalization. */
  trainedOn: Statistics | undefined;
}

/** Operators that leave each number of an image as it is. */
const PASSING = new Set([
  'Identity',
  'Clip',
  'Cast',
  'CastLike',
  'Pad',
  'Resize',
  'Upsample',
  'QuantizeLinear',
  'DequantizeLinear',
  'Dropout',
]);
const ARITHMETIC = new Set(['Add', 'Sub', 'Mul', 'Div']);
const CONVOLUTIONS = new Set(['Conv', 'ConvInteger', 'QLinearConv', 'FusedConv']);
const MAX_STEPS = 64;

/** Follows an image from a graph's input to the first operator that is more than arithmetic per channel. */
export function traceInput(graph: TraceGraph, input: string): InputTrace {
  const trace: InputTrace = {
    layout: undefined,
    channels: undefined,
    factor: [1],
    shift: [0],
    steps: [],
    reversesChannels: false,
    firstLayer: undefined,
    trainedOn: undefined,
  };
  /** Dimension i of the current value is dimension order[i] of the input. */
  let order = [0, 1, 2, 3];
  let name = input;
  for (let count = 0; count < MAX_STEPS; count++) {
    const readers = readersOf(graph, name);
    const [node] = readers;
    if (!node || readers.some(({ op }) => op !== node.op)) return trace;
    if (CONVOLUTIONS.has(node.op)) return endAtConvolution(graph, trace, node, order);
    if (readers.length > 1) return trace;
    if (node.op === 'Transpose' && node.perm?.length === 4) order = node.perm.map((axis) => order[axis] ?? 0);
    else if (ARITHMETIC.has(node.op)) {
      if (!applyArithmetic(graph, trace, node, name)) return trace;
    } else if (node.op === 'BatchNormalization') return readBatchNormalization(graph, trace, node);
    else if (isReversal(graph, node)) reverseChannels(trace);
    else if (!PASSING.has(node.op) && !isCrop(graph, node) && !keepsShape(graph, node, order)) return trace;
    name = node.outputs[0] ?? '';
  }
  return trace;
}

/** Who reads a value's numbers, and not only its shape. */
function readersOf(graph: TraceGraph, name: string): TraceNode[] {
  const readers = graph.nodes.filter(({ op, inputs }) => op !== 'Shape' && inputs.includes(name));
  if (readers.length < 2) return readers;
  const isRead = ({ outputs }: TraceNode) =>
    outputs.some((output) => graph.outputs.includes(output)) ||
    graph.nodes.some(({ op, inputs }) => op !== 'Shape' && inputs.some((input) => outputs.includes(input)));
  const used = readers.filter(isRead);
  return used.length > 0 ? used : readers;
}

function endAtConvolution(graph: TraceGraph, trace: InputTrace, node: TraceNode, order: readonly number[]): InputTrace {
  const weights = graph.constantOf(node.inputs[node.op === 'QLinearConv' ? 3 : 1] ?? '');
  const channelsAt = order[graph.convolution.layout === 'nchw' ? 1 : 3];
  const layout = channelsAt === 1 ? 'nchw' : channelsAt === 3 ? 'nhwc' : undefined;
  const perGroup = weights?.shape[graph.convolution.channelsAxis];
  const channels = perGroup === undefined ? undefined : perGroup * (node.group ?? 1);
  return { ...trace, layout, channels, firstLayer: readFirstLayer(graph, node) };
}

function applyArithmetic(graph: TraceGraph, trace: InputTrace, node: TraceNode, name: string): boolean {
  const [left = '', right = ''] = node.inputs;
  const isFirst = left === name;
  const values = graph.constantOf(isFirst ? right : left)?.values;
  if (!values || values.length === 0 || values.length > 4 || left === right) return false;
  if (!values.every(Number.isFinite)) return false;
  switch (node.op) {
    case 'Add':
      trace.shift = zip(trace.shift, values, (a, b) => a + b);
      trace.steps.push(`adds ${describe(values)}`);
      return true;
    case 'Sub':
      if (!isFirst) return false;
      trace.shift = zip(trace.shift, values, (a, b) => a - b);
      trace.steps.push(`subtracts ${describe(values)}`);
      return true;
    case 'Mul':
      scale(trace, values);
      trace.steps.push(`multiplies by ${describe(values)}`);
      return true;
    default:
      if (!isFirst) return false;
      scale(
        trace,
        values.map((value) => 1 / value),
      );
      trace.steps.push(`divides by ${describe(values)}`);
      return true;
  }
}

function scale(trace: InputTrace, values: readonly number[]): void {
  trace.factor = zip(trace.factor, values, (a, b) => a * b);
  trace.shift = zip(trace.shift, values, (a, b) => a * b);
}

/** Its inputs are x, gamma, beta, and the mean and the variance of x in training. */
function readBatchNormalization(graph: TraceGraph, trace: InputTrace, node: TraceNode): InputTrace {
  const [means, variances] = node.inputs.slice(3, 5).map((name) => graph.constantOf(name)?.values);
  if (!means || !variances || means.length > 4) return trace;
  // Of the input, in front of the arithmetic.
  const mean = zip(
    zip(means, trace.shift, (a, b) => a - b),
    trace.factor,
    (a, b) => a / b,
  );
  const deviation = zip(variances, trace.factor, (v, b) => Math.sqrt(v + (node.epsilon ?? 1e-5)) / Math.abs(b));
  return { ...trace, trainedOn: { mean, deviation } };
}

/** A Gather of the channels 2, 1, 0, or a Slice that goes backward over one dimension and takes all of the others. */
function isReversal(graph: TraceGraph, node: TraceNode): boolean {
  if (node.op === 'Slice') {
    const steps = graph.constantOf(node.inputs[4] ?? '')?.values;
    return (
      steps !== undefined &&
      steps.filter((step) => step === -1).length === 1 &&
      steps.every((step) => Math.abs(step) === 1)
    );
  }
  if (node.op !== 'Gather') return false;
  return graph.constantOf(node.inputs[1] ?? '')?.values?.join() === '2,1,0';
}

/** More than any image has channels. */
const MIN_CROP = 5;

/** A Slice of height, width or both, as a crop inside a model is written. */
function isCrop(graph: TraceGraph, { op, inputs }: TraceNode): boolean {
  if (op !== 'Slice') return false;
  const [starts, ends, axes, steps] = inputs.slice(1, 5).map((name) => graph.constantOf(name)?.values);
  if (!axes || axes.includes(0) || steps?.some((step) => step <= 0)) return false;
  if (axes.length === 2) return true;
  // Of one dimension, only the size of what is left shows that it is not the channels'.
  const [start, end, ...others] = [...(starts ?? []), ...(ends ?? [])];
  if (axes.length !== 1 || start === undefined || end === undefined || others.length > 0) return false;
  return Math.sign(start || 1) === Math.sign(end) && end - start >= MIN_CROP;
}

/** A Reshape to the shape that the image has already, as torchvision's transforms write it. */
function keepsShape(graph: TraceGraph, { op, inputs }: TraceNode, order: readonly number[]): boolean {
  const shape = op === 'Reshape' ? graph.constantOf(inputs[1] ?? '')?.values : undefined;
  return shape?.length === 4 && shape.every((size, i) => i === 0 || size === graph.sizes?.[order[i] ?? 0]);
}

function reverseChannels(trace: InputTrace): void {
  trace.reversesChannels = !trace.reversesChannels;
  trace.factor.reverse();
  trace.shift.reverse();
  trace.steps.push('exchanges red and blue');
}

/** One number applies to all channels. */
function zip(left: readonly number[], right: readonly number[], combine: (a: number, b: number) => number): number[] {
  const length = Math.max(left.length, right.length);
  const at = (values: readonly number[], i: number) => values[values.length === 1 ? 0 : i] ?? 0;
  return Array.from({ length }, (_, i) => combine(at(left, i), at(right, i)));
}

function describe(values: readonly number[]): string {
  const texts = values.map((value) => String(Number(value.toPrecision(4))));
  return new Set(texts).size === 1 ? (texts[0] ?? '') : texts.join('/');
}
