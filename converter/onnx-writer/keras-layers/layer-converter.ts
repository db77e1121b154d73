import { UnsupportedOpError } from '../../errors.ts';
import type { Dialect } from '../../tfjs/call-arguments.ts';
import type { Tensor } from '../graph/graph.ts';
import type { GraphBuilder, Value } from '../graph/graph-builder.ts';
import type { LayerConfig } from './config.ts';

/** What a layer's converter gets. */
export interface LayerCall {
  builder: GraphBuilder;
  className: string;
  dialect: Dialect;
  config: LayerConfig;
  inputs: Value[];
  /** A weight of this layer by the short name that tfjs gives it. @throws ModelError if the file has none. */
  weight: (name: string) => Tensor;
  /** Says that a weight of this layer does not change an answer. */
  ignoreWeight: (name: string) => void;
}

export type LayerConverter = (call: LayerCall) => Value;

/** The only input of a layer that takes one. */
export function onlyInput(call: LayerCall): Value {
  const [input, ...others] = call.inputs;
  if (!input || others.length > 0) {
    throw new UnsupportedOpError(call.className, `expected one input, found ${call.inputs.length}`);
  }
  return input;
}
