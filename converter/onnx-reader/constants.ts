import { closeSync, openSync, readSync } from 'node:fs';
import path from 'node:path';
import type { onnx } from 'onnx-proto';
import type { OnnxModelGraph } from './decode-onnx.ts';
import { externalPartOf, OWN_FILE } from './external-weights.ts';

/** Longer constants are weights, which nobody needs as numbers. */
const MAX_NUMBERS = 64;

/** A constant of an ONNX graph. */
export interface Constant {
  shape: number[];
  /** ONNX' number of its elements' type. */
  elementType: number;
  /** Undefined for long ones and for types without a plain form. */
  values: number[] | undefined;
  /** Weights of any length; undefined for other types than float32. */
  readFloats(): Float32Array | undefined;
}

/**
 * Finds a graph's constants: initializers and Constant nodes.
 * @param file the ONNX file; those with external data are next to it
 */
export function readConstants(graph: OnnxModelGraph, file: string | undefined): (name: string) => Constant | undefined {
  const tensors = new Map<string, onnx.ITensorProto>();
  for (const tensor of graph.initializer) tensors.set(tensor.name ?? '', tensor);
  for (const node of graph.node) {
    const value = node.opType === 'Constant' ? tensorOf(node.attribute ?? []) : undefined;
    if (value) tensors.set(node.output?.[0] ?? '', value);
  }
  return (name) => {
    const tensor = tensors.get(name);
    if (!tensor) return undefined;
    const shape = (tensor.dims ?? []).map(Number);
    const elementType = tensor.dataType ?? 0;
    return { shape, elementType, values: readValues(tensor, file), readFloats: () => readFloats(tensor, file) };
  };
}

const FLOAT = 1;
const INT64 = 7;

/** A Constant's value is a tensor, or plain numbers. */
function tensorOf(attributes: readonly onnx.IAttributeProto[]): onnx.ITensorProto | undefined {
  for (const { name, t, f, floats, i, ints } of attributes) {
    if (name === 'value') return t ?? undefined;
    if (name === 'value_float') return { dims: [], dataType: FLOAT, floatData: [f ?? 0] };
    if (name === 'value_floats') return { dims: [floats?.length ?? 0], dataType: FLOAT, floatData: floats ?? [] };
    if (name === 'value_int') return { dims: [], dataType: INT64, int64Data: [i ?? 0] };
    if (name === 'value_ints') return { dims: [ints?.length ?? 0], dataType: INT64, int64Data: ints ?? [] };
  }
  return undefined;
}

/** Of the first weights of a model. Only a dense layer over large images has more. */
const MAX_FLOATS = 16 * 1024 * 1024;

function readFloats(tensor: onnx.ITensorProto, file: string | undefined): Float32Array | undefined {
  const { dataType, rawData, floatData, dims } = tensor;
  const count = (dims ?? []).map(Number).reduce((a, b) => a * b, 1);
  if (dataType !== FLOAT || !(count > 0 && count <= MAX_FLOATS)) return undefined;
  if (floatData?.length) return Float32Array.from(floatData);
  const bytes = rawData?.length ? rawData : readExternal(tensor, file, count);
  // A copy, because what was read may begin at any byte.
  return bytes && bytes.length === count * 4 ? new Float32Array(new Uint8Array(bytes).buffer) : undefined;
}

function readValues(tensor: onnx.ITensorProto, file: string | undefined): number[] | undefined {
  const count = (tensor.dims ?? []).map(Number).reduce((a, b) => a * b, 1);
  if (!(count >= 0 && count <= MAX_NUMBERS)) return undefined;
  const listed = [tensor.floatData, tensor.int32Data, tensor.int64Data, tensor.doubleData].find((data) => data?.length);
  // Half floats in `int32_data` are bits, not numbers.
  if (listed && tensor.dataType !== 10) return listed.map(Number);
  const bytes = tensor.rawData?.length ? tensor.rawData : readExternal(tensor, file, count);
  if (!bytes) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const read = READERS[tensor.dataType ?? 0];
  if (!read || bytes.byteLength < count * read.size) return undefined;
  return Array.from({ length: count }, (_, i) => read.at(view, i * read.size));
}

/** By the numbers of ONNX' element types. */
const READERS: Record<number, { size: number; at: (view: DataView, offset: number) => number }> = {
  1: { size: 4, at: (view, offset) => view.getFloat32(offset, true) },
  2: { size: 1, at: (view, offset) => view.getUint8(offset) },
  3: { size: 1, at: (view, offset) => view.getInt8(offset) },
  6: { size: 4, at: (view, offset) => view.getInt32(offset, true) },
  7: { size: 8, at: (view, offset) => Number(view.getBigInt64(offset, true)) },
  9: { size: 1, at: (view, offset) => view.getUint8(offset) },
  10: { size: 2, at: (view, offset) => halfToNumber(view.getUint16(offset, true)) },
  11: { size: 8, at: (view, offset) => view.getFloat64(offset, true) },
};

/** A tensor with its bytes inside, wherever they were; undefined if they cannot be read. */
export function embedBytes(tensor: onnx.ITensorProto, file: string | undefined): onnx.ITensorProto | undefined {
  if (!externalPartOf(tensor)) return tensor;
  const count = (tensor.dims ?? []).map(Number).reduce((a, b) => a * b, 1);
  const rawData = count >= 0 && count <= MAX_FLOATS ? readExternal(tensor, file, count) : undefined;
  const { name, dims, dataType } = tensor;
  return rawData && { name: name ?? '', dims: dims ?? [], dataType: dataType ?? 0, rawData };
}

/** An IEEE half float by its bits. */
function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

function readExternal(tensor: onnx.ITensorProto, file: string | undefined, count: number): Uint8Array | undefined {
  const part = externalPartOf(tensor);
  const size = READERS[tensor.dataType ?? 0]?.size;
  if (!part || file === undefined || size === undefined) return undefined;
  const bytes = new Uint8Array(count * size);
  const from = part.location === OWN_FILE ? file : path.join(path.dirname(file), part.location);
  const descriptor = openSync(from, 'r');
  try {
    return readSync(descriptor, bytes, 0, bytes.length, part.offset) === bytes.length ? bytes : undefined;
  } finally {
    closeSync(descriptor);
  }
}
