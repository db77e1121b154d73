import { elementCount, floatTensor, type OnnxGraph, type OnnxNode, type Tensor } from './graph.ts';

/** Which nodes read and write what, kept while a pass rewrites the graph. */
export class GraphIndex {
  readonly graph: OnnxGraph;
  readonly #producers = new Map<string, OnnxNode>();
  readonly #readers = new Map<string, OnnxNode[]>();

  constructor(graph: OnnxGraph) {
    this.graph = graph;
    for (const node of graph.nodes) {
      for (const output of node.outputs) this.#producers.set(output, node);
      for (const input of node.inputs) this.#readers.set(input, [...(this.#readers.get(input) ?? []), node]);
    }
  }

  producer(name: string | undefined): OnnxNode | undefined {
    return name === undefined ? undefined : this.#producers.get(name);
  }

  /** The only node that reads a value that is not an output of the graph. */
  onlyReader(name: string | undefined): OnnxNode | undefined {
    if (name === undefined || this.graph.outputs.some((output) => output.name === name)) return undefined;
    const readers = this.#readers.get(name) ?? [];
    return readers.length === 1 ? readers[0] : undefined;
  }

  constant(name: string | undefined): Tensor | undefined {
    return name === undefined ? undefined : this.graph.constants.get(name);
  }

  /** `absorbed` is dropped: `into` writes its output from now on. */
  absorbAfter(into: OnnxNode, absorbed: OnnxNode): void {
    into.outputs = absorbed.outputs;
    for (const output of absorbed.outputs) this.#producers.set(output, into);
    this.#drop(absorbed);
  }

  /** `absorbed` is dropped: `into` reads its first input from now on. */
  absorbBefore(into: OnnxNode, absorbed: OnnxNode): void {
    const [from] = absorbed.outputs;
    const [source] = absorbed.inputs;
    if (from === undefined || source === undefined) return;
    into.inputs = into.inputs.map((input) => (input === from ? source : input));
    this.#readers.set(
      source,
      (this.#readers.get(source) ?? []).map((node) => (node === absorbed ? into : node)),
    );
    this.#drop(absorbed);
  }

  #drop(node: OnnxNode): void {
    this.graph.nodes = this.graph.nodes.filter((other) => other !== node);
  }

  /** Gives a node a separate constant, since others may share the old one. */
  setConstant(node: OnnxNode, position: number, tensor: Tensor): void {
    const name = `${node.outputs[0]}_k${position}`;
    this.graph.constants.set(name, tensor);
    node.inputs[position] = name;
  }
}

/**
 * Makes the graph smaller without changing what it computes (beyond rounding).
 * @param channelsOf the number of a value's channels
 */
export function foldGraph(graph: OnnxGraph, channelsOf: (name: string) => number | undefined): void {
  const index = new GraphIndex(graph);
  for (const node of [...graph.nodes]) {
    if (node.op === 'Conv' || node.op === 'Gemm' || node.op === 'ConvTranspose') foldFollowers(index, node);
  }
  for (const node of [...graph.nodes]) {
    if (node.op === 'Conv') foldPadding(index, node);
    if (node.op === 'MaxPool') foldPoolPadding(index, node);
  }
  for (const node of [...graph.nodes]) if (node.op === 'Conv') foldInputScaling(index, node, channelsOf);
  dropUnused(graph);
}

/** Multiplies and adds per output channel that follow a convolution or dense layer go into its weights. */
function foldFollowers(index: GraphIndex, node: OnnxNode): void {
  for (;;) {
    const follower = index.onlyReader(node.outputs[0]);
    const kernel = index.constant(node.inputs[1]);
    if (!follower || !kernel) return;
    const outputAxis = node.op === 'Conv' ? 0 : 1;
    const channels = kernel.shape[outputAxis] ?? 0;
    const groups = node.attributes.group;
    if (node.op === 'ConvTranspose' && groups && 'int' in groups && groups.int !== 1) return;
    const change = affineOf(index, follower, node, channels);
    if (!change) return;
    const bias = index.constant(node.inputs[2])?.data as Float32Array | undefined;
    const inner = elementCount(kernel.shape.slice(outputAxis + 1));
    const weights = (kernel.data as Float32Array).map(
      (value, i) => value * (change.scale[Math.floor(i / inner) % channels] ?? 1),
    );
    const shifted = Float32Array.from(change.shift, (shift, i) => (bias?.[i] ?? 0) * (change.scale[i] ?? 1) + shift);
    index.setConstant(node, 1, floatTensor(kernel.shape, weights));
    index.setConstant(node, 2, floatTensor([channels], shifted));
    index.absorbAfter(node, follower);
  }
}

/** `output * scale + shift` per channel, if that is all that a node does. */
function affineOf(
  index: GraphIndex,
  node: OnnxNode,
  before: OnnxNode,
  channels: number,
): { scale: number[]; shift: number[] } | undefined {
  const ones = Array<number>(channels).fill(1);
  const zeros = Array<number>(channels).fill(0);
  if (node.op === 'BatchNormalization') {
    const [gamma, beta, mean, variance] = node.inputs
      .slice(1)
      .map((name) => index.constant(name)?.data as Float32Array);
    const epsilon =
      node.attributes.epsilon && 'float' in node.attributes.epsilon ? node.attributes.epsilon.float : 1e-5;
    if (!gamma || !beta || !mean || !variance || gamma.length !== channels) return undefined;
    const scale = ones.map((_, i) => (gamma[i] ?? 1) / Math.sqrt((variance[i] ?? 0) + epsilon));
    return { scale, shift: scale.map((factor, i) => (beta[i] ?? 0) - (mean[i] ?? 0) * factor) };
  }
  if (node.op !== 'Mul' && node.op !== 'Add' && node.op !== 'Sub') return undefined;
  const position = node.inputs[0] === before.outputs[0] ? 1 : 0;
  if (node.op === 'Sub' && position === 0) return undefined;
  const tensor = index.constant(node.inputs[position]);
  const values = tensor && perChannel(tensor, channels, before.op === 'Gemm' ? 2 : 4);
  if (!values) return undefined;
  if (node.op === 'Mul') return { scale: values, shift: zeros };
  return { scale: ones, shift: node.op === 'Add' ? values : values.map((value) => -value) };
}

/** A constant as one number per channel, if it is the same everywhere else. */
function perChannel(tensor: Tensor, channels: number, rank: 2 | 4): number[] | undefined {
  if (tensor.type !== 'float32' || tensor.shape.length > rank) return undefined;
  const data = tensor.data as Float32Array;
  if (data.length === 1) return Array<number>(channels).fill(data[0] ?? 0);
  const padded = [...Array<number>(rank - tensor.shape.length).fill(1), ...tensor.shape];
  const isChannels = data.length === channels && padded[1] === channels;
  return isChannels ? [...data] : undefined;
}

/** The [top, left, bottom, right] of a Pad node that adds zeros around images only. */
function zeroPadding(index: GraphIndex, node: OnnxNode | undefined): number[] | undefined {
  if (node?.op !== 'Pad' || !node.attributes.mode || !('text' in node.attributes.mode)) return undefined;
  if (node.attributes.mode.text !== 'constant') return undefined;
  const pads = [...((index.constant(node.inputs[1])?.data ?? []) as BigInt64Array)].map(Number);
  const fill = index.constant(node.inputs[2])?.data[0] ?? 0;
  if (pads.length !== 8 || Number(fill) !== 0) return undefined;
  if (pads[0] || pads[1] || pads[4] || pads[5] || pads.some((pad) => pad < 0)) return undefined;
  return [pads[2] ?? 0, pads[3] ?? 0, pads[6] ?? 0, pads[7] ?? 0];
}

function addPads(node: OnnxNode, extra: readonly number[]): void {
  const pads = node.attributes.pads && 'ints' in node.attributes.pads ? node.attributes.pads.ints : [0, 0, 0, 0];
  node.attributes.pads = { ints: pads.map((pad, i) => pad + (extra[i] ?? 0)) };
}

function foldPadding(index: GraphIndex, node: OnnxNode): void {
  const pad = index.producer(node.inputs[0]);
  const extra = zeroPadding(index, pad);
  if (!pad || !extra || index.onlyReader(pad.outputs[0]) !== node) return;
  addPads(node, extra);
  index.absorbBefore(node, pad);
}

/** After a ReLU nothing is below zero, so that a border of zeros is as good as one of minus infinity. */
function foldPoolPadding(index: GraphIndex, node: OnnxNode): void {
  const pad = index.producer(node.inputs[0]);
  const extra = zeroPadding(index, pad);
  const isOnlyReader = pad && index.onlyReader(pad.outputs[0]) === node;
  if (!pad || !extra || !isOnlyReader || !fitsPool(node, extra) || index.producer(pad.inputs[0])?.op !== 'Relu') {
    keepPoolPadding(index, node);
    return;
  }
  addPads(node, extra);
  index.absorbBefore(node, pad);
}

/** A pool's padding must be smaller than its window. */
function fitsPool({ attributes: { kernel_shape, pads } }: OnnxNode, extra: readonly number[]): boolean {
  const size = kernel_shape && 'ints' in kernel_shape ? kernel_shape.ints : [];
  const own = pads && 'ints' in pads ? pads.ints : [];
  return extra.every((border, i) => border + (own[i] ?? 0) < (size[i % 2] ?? 0));
}

/** onnxruntime treats a Pad of zeros before a MaxPool as one of minus infinity, whatever else reads it, but not one of almost zero. */
function keepPoolPadding(index: GraphIndex, node: OnnxNode): void {
  let before = index.producer(node.inputs[0]);
  // It exchanges the two.
  while (before?.op === 'Transpose') before = index.producer(before.inputs[0]);
  const fill = before?.op === 'Pad' ? index.constant(before.inputs[2]) : undefined;
  if (before && fill && Number(fill.data[0]) === 0) index.setConstant(before, 2, floatTensor([], [1e-37]));
}

/** A per-channel factor or a reversal of channels before a convolution goes into its kernel; zeros stay zeros. */
function foldInputScaling(index: GraphIndex, node: OnnxNode, channelsOf: (name: string) => number | undefined): void {
  for (;;) {
    const before = index.producer(node.inputs[0]);
    const kernel = index.constant(node.inputs[1]);
    const groups = node.attributes.group && 'int' in node.attributes.group ? node.attributes.group.int : 1;
    if (!before || !kernel || groups !== 1 || index.onlyReader(before.outputs[0]) !== node) return;
    const channels = kernel.shape[1] ?? 0;
    // The factor itself may make the channels of one.
    if (channelsOf(before.inputs[0] ?? '') !== channels) return;
    const inner = elementCount(kernel.shape.slice(2));
    const data = kernel.data as Float32Array;
    if (before.op === 'Mul') {
      const tensor = index.constant(before.inputs[1]);
      const scale = tensor && perChannel(tensor, channels, 4);
      if (!scale) return;
      const scaled = data.map((value, i) => value * (scale[Math.floor(i / inner) % channels] ?? 1));
      index.setConstant(node, 1, floatTensor(kernel.shape, scaled));
    } else if (before.op === 'Gather') {
      const order = index.constant(before.inputs[1])?.data as BigInt64Array | undefined;
      const axis = before.attributes.axis && 'int' in before.attributes.axis ? before.attributes.axis.int : 0;
      if (!order || order.length !== channels || new Set(order).size !== channels || axis !== 1) return;
      const reordered = data.slice();
      for (let i = 0; i < data.length; i++) {
        const channel = Math.floor(i / inner) % channels;
        reordered[i + (Number(order[channel]) - channel) * inner] = data[i] ?? 0;
      }
      index.setConstant(node, 1, floatTensor(kernel.shape, reordered));
    } else {
      return;
    }
    index.absorbBefore(node, before);
  }
}

/** Drops nodes and constants that no output needs. */
export function dropUnused(graph: OnnxGraph): void {
  const needed = new Set(graph.outputs.map((output) => output.name));
  graph.nodes = graph.nodes
    .reverse()
    .filter((node) => {
      if (!node.outputs.some((output) => needed.has(output))) return false;
      for (const input of node.inputs) needed.add(input);
      return true;
    })
    .reverse();
  for (const name of graph.constants.keys()) if (!needed.has(name)) graph.constants.delete(name);
}
