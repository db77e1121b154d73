import { ModelError, UnsupportedOpError } from '../../errors.ts';
import type { NodeAttributes } from '../../tfjs/graphdef.ts';
import type { Tensor } from '../graph/graph.ts';
import type { GraphBuilder, Value } from '../graph/graph-builder.ts';

/** What a node's converter gets. */
export interface NodeCall {
  builder: GraphBuilder;
  name: string;
  op: string;
  inputs: Value[];
  /** Which inputs have been read. */
  read: Set<number>;
  attributes: NodeAttributes;
  /** The graph takes one image at a time. */
  isSingle: boolean;
}

/** Returns the node's outputs. */
export type NodeConverter = (call: NodeCall) => Value | Value[];

/** A required input. */
export function inputAt(call: NodeCall, position: number): Value {
  const value = call.inputs[position];
  call.read.add(position);
  if (!value) throw new ModelError('TOPOLOGY_INVALID', `node ${call.name} (${call.op}) has no input ${position}`);
  return value;
}

/** Every input, of a node that takes any number. */
export function allInputs(call: NodeCall): Value[] {
  return call.inputs.map((_, position) => inputAt(call, position));
}

/**
 * Call it when a node has been converted.
 * @throws UnsupportedOpError naming an attribute or an input that was not read: what is not understood is not skipped
 */
export function requireAllRead(call: NodeCall): void {
  const attribute = call.attributes.firstUnread();
  if (attribute !== undefined) throw new UnsupportedOpError(call.op, `node ${call.name} with attribute ${attribute}`);
  const input = call.inputs.findIndex((_, position) => !call.read.has(position));
  if (input >= 0) throw new UnsupportedOpError(call.op, `node ${call.name} with an input ${input}`);
}

/**
 * An input that must be known before the model runs.
 * @throws UnsupportedOpError if it is computed
 */
export function constantAt(call: NodeCall, position: number): Tensor {
  const tensor = call.builder.tensorOf(inputAt(call, position));
  if (!tensor)
    throw new UnsupportedOpError(call.op, `node ${call.name}: input ${position} is computed, not a constant`);
  return tensor;
}

/**
 * The numbers of a constant input.
 * @throws UnsupportedOpError if they depend on the number of images
 */
export function numbersAt(call: NodeCall, position: number): number[] {
  const { sizes, countsImages } = sizesAt(call, position);
  if (countsImages) {
    throw new UnsupportedOpError(call.op, `node ${call.name}: input ${position} depends on the number of images`);
  }
  return sizes;
}

/** Sizes of a constant input. If they count images, numbers below zero are multiples of their number. */
export function sizesAt(call: NodeCall, position: number): { sizes: number[]; countsImages: boolean } {
  const { data, countsImages = false } = constantAt(call, position);
  return { sizes: Array.from(data as ArrayLike<number | bigint>, Number), countsImages };
}

/** @throws UnsupportedOpError for images with their channels first */
export function requireChannelsLast(call: NodeCall): void {
  const order = call.attributes.text('data_format', 'nhwc');
  if (order !== 'nhwc') throw new UnsupportedOpError(call.op, `data_format ${order}, node ${call.name}`);
}
