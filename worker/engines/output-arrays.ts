/** Named outputs of a batch: typed arrays of count x elements, row by row. */
import type { TensorType } from '@inferql/queue/outputs';

export type OutputArray = Float32Array | Int32Array | Uint8Array;
/** By the names of the model's outputs. */
export type OutputArrays = Record<string, OutputArray>;

/** An output as engines see it. */
export interface EngineOutputSpec {
  name: string;
  dtype: TensorType;
  /** Per image. */
  elements: number;
  /** Its name in a tfjs model. */
  from: string;
  /** Of a head in a tfjs model; the ONNX files that the converter writes contain it. */
  activation?: 'softmax' | 'logits' | 'sigmoid' | 'logits-sigmoid';
}

const CONSTRUCTORS = { float32: Float32Array, int32: Int32Array, uint8: Uint8Array } as const;

export function createArray(dtype: TensorType, length: number): OutputArray {
  return new CONSTRUCTORS[dtype](length);
}

/** @param buffer little-endian, as every machine that Node runs on */
export function viewArray(dtype: TensorType, buffer: ArrayBuffer): OutputArray {
  return new CONSTRUCTORS[dtype](buffer);
}

export function joinFloats(parts: Float32Array[]): Float32Array {
  const joined = new Float32Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** Joins the outputs of the parts of a batch, and leaves out what is beyond `count` images. */
export function joinOutputArrays(
  specs: readonly EngineOutputSpec[],
  parts: readonly (OutputArrays | undefined)[],
  count: number,
): OutputArrays {
  const joined: OutputArrays = {};
  for (const { name, dtype, elements } of specs) {
    const whole = createArray(dtype, count * elements);
    let at = 0;
    for (const part of parts) {
      const values = part?.[name]?.subarray(0, whole.length - at);
      if (values) whole.set(values, at);
      at += values?.length ?? 0;
    }
    if (at !== whole.length) throw new Error(`output ${name} has ${at} values, expected ${count} x ${elements}`);
    joined[name] = whole;
  }
  return joined;
}
