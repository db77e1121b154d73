import { UnsupportedOpError } from '../../errors.ts';
import { imageSize } from '../emit/conv.ts';
import { padImage } from '../emit/pool.ts';
import { slice, transpose } from '../emit/shape.ts';
import { inputAt, type NodeCall, type NodeConverter, numbersAt } from './node-converter.ts';

/** Rows and columns of a block, and what is added or cut off around an image. */
function blockOf(call: NodeCall) {
  const block = numbersAt(call, 1);
  const [top = 0, bottom = 0, left = 0, right = 0] = numbersAt(call, 2);
  const [rows = 1, columns = 1] = block;
  if (block.length !== 2 || inputAt(call, 0).shape.length !== 4) {
    throw new UnsupportedOpError(call.op, `node ${call.name}: blocks of ${block.length} dimensions`);
  }
  return { rows, columns, around: { top, bottom, left, right } };
}

/** An image becomes several of every second (third, …) pixel. TensorFlow writes dilated depthwise convolutions so. */
const spaceToBatch: NodeConverter = (call) => {
  const { builder } = call;
  const { rows, columns, around } = blockOf(call);
  const padded = padImage(builder, inputAt(call, 0), around);
  const { batch, height, width, channels } = imageSize(padded);
  const split = builder.reshape(padded, [batch, height / rows, rows, width / columns, columns, channels]);
  // The places in a block come before the images.
  const turned = transpose(builder, split, [2, 4, 0, 1, 3, 5]);
  return builder.reshape(turned, [batch * rows * columns, height / rows, width / columns, channels]);
};

const batchToSpace: NodeConverter = (call) => {
  const { builder } = call;
  const { rows, columns, around } = blockOf(call);
  const input = inputAt(call, 0);
  const { batch, height, width, channels } = imageSize(input);
  const split = builder.reshape(input, [rows, columns, batch / (rows * columns), height, width, channels]);
  const turned = transpose(builder, split, [2, 3, 0, 4, 1, 5]);
  const image = builder.reshape(turned, [batch / (rows * columns), height * rows, width * columns, channels]);
  return slice(builder, image, [
    { axis: 1, begin: around.top, end: height * rows - around.bottom },
    { axis: 2, begin: around.left, end: width * columns - around.right },
  ]);
};

export const BLOCK_NODES: Record<string, NodeConverter> = {
  SpaceToBatchND: spaceToBatch,
  BatchToSpaceND: batchToSpace,
};
