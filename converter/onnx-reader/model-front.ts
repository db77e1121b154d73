import { type FirstLayer, readFirstLayer } from './first-layer.ts';
import type { InnerGraph, TraceGraph, TraceNode } from './input-trace.ts';

/** What a model does with its images before anything that it learned: all of it, not only a chain of operators that are understood. */
export interface ModelFront {
  /** The operators, as their places in the graph. */
  places: number[];
  /** The values that the first learned operators read; the model's input, if one reads that. */
  ends: string[];
  /** Of the first convolution that reads one of them. */
  firstLayer: FirstLayer | undefined;
  /** Whether a value may depend on the whole image, as a mean does. */
  summarizes: boolean;
  /** Whether a convolution or a product calculates it, whose weights may be learned, too. */
  weighs: boolean;
}

/** Whose numbers any of the inputs may be those of an image. */
const PER_NUMBER = new Set(
  [
    ['Identity', 'Cast', 'Dropout', 'Clip', 'Concat', 'ConcatFromSequence', 'SequenceConstruct'],
    ['Add', 'Sub', 'Mul', 'Div', 'Pow', 'Mod', 'Sum', 'Mean', 'Min', 'Max', 'Neg', 'Abs', 'Sign', 'Reciprocal'],
    ['Sqrt', 'Exp', 'Log', 'Floor', 'Ceil', 'Round', 'IsNaN', 'IsInf', 'Where', 'And', 'Or', 'Not'],
    ['Equal', 'Less', 'LessOrEqual', 'Greater', 'GreaterOrEqual', 'ScatterND', 'ScatterElements'],
  ].flat(),
);
/** The image is the first input; the others say how, and are not images. */
const OF_FIRST = new Set(
  [
    [
      'CastLike',
      'Reshape',
      'Flatten',
      'Squeeze',
      'Unsqueeze',
      'Transpose',
      'Expand',
      'Tile',
      'Split',
      'SplitToSequence',
    ],
    ['SequenceAt', 'Slice', 'Gather', 'GatherND', 'GatherElements', 'ReverseSequence', 'Pad', 'Resize', 'Upsample'],
    ['DepthToSpace', 'SpaceToDepth', 'MaxPool', 'AveragePool'],
  ].flat(),
);
const SUMMARIES = new Set(
  [
    ['ReduceMean', 'ReduceSum', 'ReduceMax', 'ReduceMin', 'ReduceL1', 'ReduceL2', 'ReduceSumSquare'],
    ['LayerNormalization', 'InstanceNormalization', 'GroupNormalization'],
    ['MeanVarianceNormalization', 'LpNormalization'],
  ].flat(),
);

/**
 * Finds what a model does with an image before its first learned operator.
 * @returns undefined if it does nothing, or if that cannot be separated from the rest
 */
export function findFront(graph: TraceGraph, input: string): ModelFront | undefined {
  const image = new Set([input]);
  const learned = new Set<string>();
  const ends = new Set<string>();
  const producers = new Map<string, number>();
  let convolution: TraceNode | undefined;
  const has = { summarizes: false, weighs: false };
  for (const [place, node] of graph.nodes.entries()) {
    // An output that nobody wants has no name.
    const outputs = node.outputs.filter((name) => name !== '');
    for (const output of outputs) producers.set(output, place);
    const numbers = numbersOf(node);
    const read = numbers.filter((name) => image.has(name));
    const readsLearned = numbers.some((name) => learned.has(name));
    if (read.length === 0 && !readsLearned) continue;
    const isOfFront = read.length > 0 && !readsLearned && preparesImage(graph, node, image);
    for (const output of outputs) (isOfFront ? image : learned).add(output);
    if (isOfFront) {
      has.summarizes ||= hasOperator(node, (op) => SUMMARIES.has(op));
      has.weighs ||= hasOperator(node, (op) => op === 'Conv' || op === 'MatMul');
      continue;
    }
    for (const name of read) ends.add(name);
    if (node.op === 'Conv' && read.length > 0) convolution ??= node;
  }
  if (image.size === 1) return undefined;
  const places = placesBefore(graph, producers, [...ends], input);
  const isSeparate = places.every((place) => graph.nodes[place]?.outputs.every((name) => !learned.has(name)));
  if (!isSeparate || places.length === 0) return undefined;
  return { ...has, places, ends: [...ends], firstLayer: convolution && readFirstLayer(graph, convolution) };
}

/** The inputs whose numbers are read, and not only their size or their type. */
function numbersOf({ op, inputs }: TraceNode): readonly string[] {
  if (op === 'Shape' || op === 'Size') return [];
  return op === 'CastLike' ? inputs.slice(0, 1) : inputs;
}

function preparesImage(graph: TraceGraph, node: TraceNode, image: ReadonlySet<string>): boolean {
  if (node.domain) return false;
  if (PER_NUMBER.has(node.op)) return true;
  if (node.inner?.length) return preparesInside(graph, node, image);
  const [first = '', ...others] = numbersOf(node);
  if (!image.has(first) || others.some((name) => image.has(name))) return false;
  if (OF_FIRST.has(node.op) || SUMMARIES.has(node.op)) return true;
  return (node.op === 'Conv' || node.op === 'MatMul') && isOfColors(graph, node);
}

/** Of control flow that does not depend on an image: a loop over the images of a batch, or a branch that is chosen by their size. */
function preparesInside(graph: TraceGraph, node: TraceNode, image: ReadonlySet<string>): boolean {
  const { op, inputs, inner = [] } = node;
  if (op === 'If') return !image.has(inputs[0] ?? '') && inner.every((body) => imagesInside(graph, body, image));
  const [body] = inner;
  if (op !== 'Loop' || !body || inputs.slice(0, 2).some((name) => image.has(name))) return false;
  // The body's inputs are the count, the condition, and the values that go from one turn to the next.
  let seen: ReadonlySet<string> | undefined = new Set([
    ...image,
    ...body.inputs.filter((_, i) => image.has(inputs[i] ?? '')),
  ]);
  for (let before = 0; seen && seen.size > before; ) {
    before = seen.size;
    seen = imagesInside(graph, body, seen);
    const [condition = '', ...carried] = body.outputs;
    if (seen?.has(condition)) return false;
    const next = carried.flatMap((name, i) => (seen?.has(name) ? (body.inputs[i + 2] ?? []) : []));
    seen = seen && new Set([...seen, ...next]);
  }
  return seen !== undefined;
}

/** The values that are those of images; undefined if an operator does more than to prepare them. */
function imagesInside(graph: TraceGraph, { nodes }: InnerGraph, image: ReadonlySet<string>): Set<string> | undefined {
  const seen = new Set(image);
  const isPrepared = nodes.every((node) => {
    if (!numbersOf(node).some((name) => seen.has(name))) return true;
    const prepares = preparesImage(graph, node, seen);
    for (const output of node.outputs) seen.add(output);
    return prepares;
  });
  return isPrepared ? seen : undefined;
}

function hasOperator({ op, inner = [] }: TraceNode, isIt: (op: string) => boolean): boolean {
  return isIt(op) || inner.some(({ nodes }) => nodes.some((node) => hasOperator(node, isIt)));
}

/** How far weights that are known may be from a sum of 1. */
const SUM_DISTANCE = 0.02;
const MAX_CHANNELS = 4;

/** Weights that scale channels, each alone, or make gray of them: what somebody wrote, and no training found. */
function isOfColors(graph: TraceGraph, { op, inputs }: TraceNode): boolean {
  const weights = graph.constantOf(inputs[1] ?? '');
  const { shape = [], values = [] } = weights ?? {};
  const isConv = op === 'Conv';
  if (isConv ? shape.length !== 4 || shape[2] !== 1 || shape[3] !== 1 : shape.length !== 2) return false;
  const [rows = 0, columns = 0] = shape;
  const [count, depth] = isConv ? [rows, columns] : [columns, rows];
  if (count < 1 || count > MAX_CHANNELS || depth > MAX_CHANNELS || values.length !== count * depth) return false;
  const linesOf = (i: number) =>
    Array.from({ length: depth }, (_, j) => values[isConv ? i * depth + j : j * count + i] ?? 0);
  return Array.from({ length: count }, (_, i) => linesOf(i)).every((line) => {
    if (line.filter((value) => value !== 0).length === 1) return true;
    return line.every((value) => value >= 0) && Math.abs(line.reduce((a, b) => a + b, 0) - 1) < SUM_DISTANCE;
  });
}

/** In the order of the graph. */
function placesBefore(
  graph: TraceGraph,
  producers: ReadonlyMap<string, number>,
  ends: readonly string[],
  input: string,
): number[] {
  const places = new Set<number>();
  const open = [...ends];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    const place = name === input ? undefined : producers.get(name);
    if (place === undefined || places.has(place)) continue;
    places.add(place);
    open.push(...(graph.nodes[place]?.inputs ?? []));
  }
  return [...places].sort((a, b) => a - b);
}
