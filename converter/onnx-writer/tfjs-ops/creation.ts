import { UnsupportedOpError } from '../../errors.ts';
import { broadcastShapes } from '../emit/binary.ts';
import { sizesOperand } from '../emit/shape.ts';
import { inputAt, type NodeCall, type NodeConverter, sizesAt } from './node-converter.ts';

/** Sizes of a new tensor. @throws UnsupportedOpError if they are not known */
export function newSizesAt(call: NodeCall, position: number): number[] {
  const { sizes, countsImages } = sizesAt(call, position);
  const open = sizes.filter((size) => size < 0).length;
  if (open > (countsImages ? 1 : 0)) throw new UnsupportedOpError(call.op, `node ${call.name}: sizes ${sizes}`);
  return sizes;
}

const fill: NodeConverter = (call) => {
  const { builder } = call;
  const sizes = newSizesAt(call, 0);
  const value = inputAt(call, 1);
  const filled = builder.emit('Expand', [value, sizesOperand(builder, sizes)], { shape: sizes, type: value.type });
  const number = builder.tensorOf(value)?.data[0];
  return number === undefined ? filled : { ...filled, uniform: Number(number) };
};

const broadcastTo: NodeConverter = (call) => {
  const { builder } = call;
  const sizes = newSizesAt(call, 1);
  const plain = builder.channelsLast(inputAt(call, 0));
  const shape = broadcastShapes(plain.shape, sizes);
  return builder.emit('Expand', [plain, sizesOperand(builder, sizes)], { shape, type: plain.type });
};

function filledLike(number: number): NodeConverter {
  return (call) => {
    const { builder } = call;
    const { shape, type } = inputAt(call, 0);
    const tensor = { type, shape: [], data: type === 'float32' ? Float32Array.of(number) : Int32Array.of(number) };
    if (type !== 'float32' && type !== 'int32') throw new UnsupportedOpError(call.op, `of ${type}, node ${call.name}`);
    const filled = builder.emit('Expand', [builder.constant(tensor), sizesOperand(builder, shape)], { shape, type });
    return { ...filled, uniform: number };
  };
}

export const CREATION_NODES: Record<string, NodeConverter> = {
  Fill: fill,
  ZerosLike: filledLike(0),
  OnesLike: filledLike(1),
  BroadcastTo: broadcastTo,
};
