import { UnsupportedOpError } from '../../errors.ts';
import { binary, broadcastShapes } from '../emit/binary.ts';
import { unary } from '../emit/named-activations.ts';
import type { Value } from '../graph/graph-builder.ts';
import { inputAt, type NodeCall, type NodeConverter } from './node-converter.ts';

function comparison(op: string): NodeConverter {
  return (call) => compare(call, op);
}

function compare(call: NodeCall, op: string): Value {
  call.attributes.ignore('incompatible_shape_error');
  return binary(call.builder, op, inputAt(call, 0), inputAt(call, 1), 'bool');
}

function connective(op: string): NodeConverter {
  return (call) => binary(call.builder, op, flagsAt(call, 0), flagsAt(call, 1), 'bool');
}

/** Constant flags are numbers in the weights. */
function flagsAt(call: NodeCall, position: number): Value {
  const input = inputAt(call, position);
  return input.type === 'bool'
    ? input
    : call.builder.emit('Cast', [input], { ...input, type: 'bool' }, { to: { int: 9 } });
}

const select: NodeConverter = (call: NodeCall) => {
  const { builder, op, name } = call;
  const flags = builder.channelsLast(flagsAt(call, 0));
  const yes = builder.channelsLast(inputAt(call, 1));
  const no = builder.channelsLast(inputAt(call, 2));
  // The older form takes a flag for each image, too.
  if (op === 'Select' && flags.shape.length !== yes.shape.length) {
    throw new UnsupportedOpError(op, `node ${name}: flags [${flags.shape}] for values [${yes.shape}]`);
  }
  const shape = broadcastShapes(broadcastShapes(flags.shape, yes.shape), no.shape);
  return builder.emit('Where', [flags, yes, no], { shape, type: yes.type });
};

/** As activations with a threshold are written. */
export const LOGIC_NODES: Record<string, NodeConverter> = {
  Equal: comparison('Equal'),
  NotEqual: (call) => unary(call.builder, 'Not', compare(call, 'Equal')),
  Greater: comparison('Greater'),
  GreaterEqual: comparison('GreaterOrEqual'),
  Less: comparison('Less'),
  LessEqual: comparison('LessOrEqual'),
  LogicalAnd: connective('And'),
  LogicalOr: connective('Or'),
  LogicalNot: (call) => unary(call.builder, 'Not', flagsAt(call, 0)),
  Select: select,
  SelectV2: select,
};
