import { ModelError, UnsupportedOpError } from '../../errors.ts';
import type { NodeAttributes } from '../../tfjs/graphdef.ts';
import type { GraphBuilder, Value } from '../builder.ts';
import type { Tensor } from '../graph.ts';

/** What a node's converter gets. */
export interface NodeCall {
  builder: GraphBuilder;
  name: string;
  op: string;
  inputs: Value[];
  attributes: NodeAttributes;
}

/** Returns the node's outputs. */
export type NodeConverter = (call: NodeCall) => Value | Value[];

/** An input that must be there. */
export function inputAt(call: NodeCall, position: number): Value {
  const value = call.inputs[position];
  if (!value) throw new ModelError('TOPOLOGY_INVALID', `node ${call.name} (${call.op}) has no input ${position}`);
  return value;
}

/**
 * An input that must be known before the model runs.
 * @throws UnsupportedOpError where it is computed
 */
export function constantAt(call: NodeCall, position: number): Tensor {
  const tensor = call.builder.tensorOf(inputAt(call, position));
  if (!tensor)
    throw new UnsupportedOpError(call.op, `node ${call.name}: input ${position} is computed, not a constant`);
  return tensor;
}

/** The numbers of a constant input. */
export function numbersAt(call: NodeCall, position: number): number[] {
  return Array.from(constantAt(call, position).data as ArrayLike<number | bigint>, Number);
}

/** @throws UnsupportedOpError for images with their channels first */
export function requireChannelsLast(call: NodeCall): void {
  const order = call.attributes.text('data_format', 'nhwc');
  if (order !== 'nhwc') throw new UnsupportedOpError(call.op, `data_format ${order}, node ${call.name}`);
}
