/** ONNX element types that the converter writes. */
export type ElementType = 'float32' | 'uint8' | 'int8' | 'int32' | 'int64' | 'bool';
export type TensorData = Float32Array | Uint8Array | Int8Array | Int32Array | BigInt64Array;

/** A constant, row-major, in the order of dimensions that the nodes which read it expect. */
export interface Tensor {
  type: ElementType;
  shape: readonly number[];
  data: TensorData;
  /** Sizes that depend on the number of images: a number below zero is a multiple of it, -64 are 64 per image. */
  countsImages?: boolean;
}

export type Attribute = { int: number } | { ints: readonly number[] } | { float: number } | { text: string };

export interface OnnxNode {
  op: string;
  inputs: string[];
  outputs: string[];
  attributes: Record<string, Attribute>;
}

/** The batch's dimension, whose size is known only when the model runs; -64 is a dimension of 64 per image. */
export const BATCH = -1;

export interface GraphPort {
  name: string;
  type: ElementType;
  /** BATCH for the batch. */
  shape: readonly number[];
}

/** An ONNX graph under construction. Nodes stay in topological order. */
export interface OnnxGraph {
  nodes: OnnxNode[];
  constants: Map<string, Tensor>;
  inputs: GraphPort[];
  outputs: GraphPort[];
}

/** Number of elements of a shape that is fully known. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}

export function floatTensor(shape: readonly number[], data: Float32Array | readonly number[]): Tensor {
  return { type: 'float32', shape, data: data instanceof Float32Array ? data : Float32Array.from(data) };
}

export function int64Tensor(values: readonly number[]): Tensor {
  return { type: 'int64', shape: [values.length], data: BigInt64Array.from(values, (value) => BigInt(value)) };
}

/** Permutes a constant's dimensions: dimension i of the result is dimension order[i] of the input. */
export function transposeTensor(tensor: Tensor, order: readonly number[]): Tensor {
  const shape = order.map((axis) => tensor.shape[axis] ?? 1);
  const data = tensor.data.slice();
  const inputStrides = tensor.shape.map((_, axis) => elementCount(tensor.shape.slice(axis + 1)));
  const strides = order.map((axis) => inputStrides[axis] ?? 1);
  const index = shape.map(() => 0);
  let from = 0;
  for (let to = 0; to < data.length; to++) {
    data[to] = tensor.data[from] as never;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const size = shape[axis] ?? 1;
      const stride = strides[axis] ?? 1;
      const next = (index[axis] ?? 0) + 1;
      from += stride;
      if (next < size) {
        index[axis] = next;
        break;
      }
      index[axis] = 0;
      from -= stride * size;
    }
  }
  return { type: tensor.type, shape, data };
}
