import { CONSTANT_NODES } from './constants.ts';
import { CONVOLUTION_NODES } from './convolution.ts';
import { CREATION_NODES } from './creation.ts';
import { EINSUM_NODES } from './einsum.ts';
import { LOGIC_NODES } from './logic.ts';
import { MATH_NODES } from './math.ts';
import type { NodeConverter } from './node-converter.ts';
import { REDUCTION_NODES } from './reduction.ts';
import { SHAPE_NODES } from './shape.ts';
import { BLOCK_NODES } from './space-to-batch.ts';

/** Every op that the converter covers. */
export const NODES: Record<string, NodeConverter> = {
  ...BLOCK_NODES,
  ...CONSTANT_NODES,
  ...CONVOLUTION_NODES,
  ...CREATION_NODES,
  ...EINSUM_NODES,
  ...LOGIC_NODES,
  ...MATH_NODES,
  ...REDUCTION_NODES,
  ...SHAPE_NODES,
};

/** Ops that take the rows of several images behind each other, too, in whichever dimension. */
export const TAKES_ROWS: ReadonlySet<string> = new Set([
  ...Object.keys(CONSTANT_NODES),
  ...Object.keys(LOGIC_NODES),
  ...Object.keys(MATH_NODES),
  ...Object.keys(REDUCTION_NODES),
  ...['FusedBatchNorm', 'FusedBatchNormV2', 'FusedBatchNormV3'],
  ...['Identity', 'IdentityN', 'StopGradient', 'Snapshot', 'CheckNumerics', 'EnsureShape'],
  ...['Reshape', 'Squeeze', 'ExpandDims', 'Transpose', 'Slice', 'StridedSlice'],
]);

/** Ops that treat each image alone, so that the first dimension may have several for each. */
export const TAKES_SEVERAL: ReadonlySet<string> = new Set([
  ...TAKES_ROWS,
  ...Object.keys(BLOCK_NODES),
  ...Object.keys(CONVOLUTION_NODES),
  ...['Pad', 'PadV2', 'MirrorPad', 'ResizeBilinear', 'ResizeNearestNeighbor', 'DepthToSpace'],
]);

/** Ops that compute whole numbers, and flags, as TensorFlow does, or only move them. */
export const TAKES_WHOLE_NUMBERS: ReadonlySet<string> = new Set([
  ...Object.keys(CONSTANT_NODES),
  ...Object.keys(CREATION_NODES),
  ...Object.keys(LOGIC_NODES),
  ...['Abs', 'Add', 'AddN', 'AddV2', 'Cast', 'Maximum', 'Minimum', 'Mul', 'Neg', 'Pow', 'Relu', 'Sign', 'Square'],
  ...['SquaredDifference', 'Sub'],
  ...['Identity', 'IdentityN', 'StopGradient', 'Snapshot', 'EnsureShape'],
  ...['Reshape', 'Squeeze', 'ExpandDims', 'Transpose', 'Slice', 'StridedSlice', 'Split', 'SplitV', 'Pack', 'Unpack'],
  ...['Concat', 'ConcatV2', 'Gather', 'GatherV2', 'ReverseV2', 'Tile', 'ResizeBilinear', 'ResizeNearestNeighbor'],
  ...['Pad', 'PadV2', 'MirrorPad'],
]);
