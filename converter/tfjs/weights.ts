import { stat } from 'node:fs/promises';
import path from 'node:path';
import { ModelError } from '../errors.ts';
import { type ModelJson, storedBytes, type WeightSpec } from './manifest.ts';
import { ShardReader, unreadable } from './shards.ts';

/** A weight as tfjs would hold it: row-major, float32 or int32 (bool as 0 and 1). */
export interface Weight {
  name: string;
  shape: number[];
  data: Float32Array | Int32Array;
}

/**
 * Reads all the weights of a model, shards in the manifest's order, quantized ones decoded exactly as tfjs does.
 * @throws ModelError WEIGHTS_INVALID for a missing shard or one of another size than the manifest says
 */
export async function readWeights(modelJson: ModelJson, modelDir: string): Promise<Map<string, Weight>> {
  const weights = new Map<string, Weight>();
  for await (const { spec, bytes } of streamStoredWeights(modelJson, modelDir)) {
    weights.set(spec.name, decodeWeight(spec, bytes));
  }
  return weights;
}

/** A weight as its shard has it. */
export interface StoredWeight {
  spec: WeightSpec;
  bytes: ArrayBuffer;
}

/**
 * The weights of a model in the manifest's order, one at a time in memory.
 * @throws ModelError WEIGHTS_INVALID as readWeights does
 */
export async function* streamStoredWeights(modelJson: ModelJson, modelDir: string): AsyncGenerator<StoredWeight> {
  for (const group of modelJson.weightsManifest) {
    // Before anything is read: a file may be larger than memory.
    const shards = await Promise.all(group.paths.map((name) => findShard(name, modelDir)));
    checkSize(
      group,
      shards.reduce((sum, { bytes }) => sum + bytes, 0),
    );
    const reader = new ShardReader(shards);
    try {
      for (const spec of group.weights) yield { spec, bytes: await reader.read(storedBytes(spec)) };
    } finally {
      await reader.close();
    }
  }
}

async function findShard(name: string, modelDir: string) {
  const file = path.join(modelDir, name);
  const found = await stat(file).catch((cause: unknown) => {
    throw unreadable(name, cause);
  });
  return { name, path: file, bytes: found.size };
}

/** The same for shards in memory. */
export function decodeWeights(modelJson: ModelJson, readShard: (shard: string) => Buffer): Map<string, Weight> {
  const weights = new Map<string, Weight>();
  for (const group of modelJson.weightsManifest) {
    const [first, ...others] = group.paths.map(readShard);
    const bytes = first && others.length === 0 ? first : Buffer.concat(first ? [first, ...others] : []);
    checkSize(group, bytes.length);
    let offset = 0;
    for (const weight of group.weights) {
      const size = storedBytes(weight);
      // A separate copy, aligned for the typed array.
      weights.set(weight.name, decodeWeight(weight, new Uint8Array(bytes.subarray(offset, offset + size)).buffer));
      offset += size;
    }
  }
  return weights;
}

function checkSize({ paths, weights }: ModelJson['weightsManifest'][number], bytes: number): void {
  const expected = weights.reduce((sum, weight) => sum + storedBytes(weight), 0);
  if (bytes === expected) return;
  throw new ModelError(
    'WEIGHTS_INVALID',
    `weight files ${paths.slice(0, 3).join(', ')} hold ${bytes} bytes, the manifest says ${expected}`,
  );
}

function decodeWeight(weight: WeightSpec, buffer: ArrayBuffer): Weight {
  const { name, shape } = weight;
  const type = weight.quantization?.dtype ?? weight.dtype;
  switch (type) {
    case 'float32':
      return { name, shape, data: new Float32Array(buffer) };
    case 'int32':
      return { name, shape, data: new Int32Array(buffer) };
    case 'float16':
      return { name, shape, data: decodeFloat16(new Uint16Array(buffer)) };
    case 'uint8':
    case 'uint16': {
      const codes = type === 'uint8' ? new Uint8Array(buffer) : new Uint16Array(buffer);
      return { name, shape, data: weight.quantization ? dequantize(codes, weight) : Int32Array.from(codes) };
    }
    case 'bool':
      return { name, shape, data: new Int32Array(new Uint8Array(buffer).map((value) => (value === 0 ? 0 : 1))) };
    default:
      throw new ModelError('MANIFEST_INVALID', `weight ${name} is of type ${type}`);
  }
}

function dequantize(codes: Uint8Array | Uint16Array, weight: WeightSpec): Float32Array | Int32Array {
  const { scale, min, original_dtype } = weight.quantization ?? {};
  if (scale === undefined || min === undefined) {
    throw new ModelError('MANIFEST_INVALID', `weight ${weight.name} is quantized without scale and min`);
  }
  if ((original_dtype ?? weight.dtype) === 'int32') {
    return convert(codes, new Int32Array(codes.length), (code) => Math.round(code * scale + min));
  }
  return convert(codes, new Float32Array(codes.length), (code) => code * scale + min);
}

/** What `from` of a typed array does, in a twentieth of its time: that iterates over the codes. */
function convert<Values extends Float32Array | Int32Array>(
  codes: Uint8Array | Uint16Array,
  values: Values,
  toValue: (code: number) => number,
): Values {
  for (let i = 0; i < codes.length; i++) values[i] = toValue(codes[i]!);
  return values;
}

/** IEEE 754 half precision, subnormal numbers, infinities and NaN included. */
export function decodeFloat16(codes: Uint16Array): Float32Array {
  return convert(codes, new Float32Array(codes.length), (code) => {
    const sign = code & 0x8000 ? -1 : 1;
    const exponent = (code >> 10) & 0x1f;
    const fraction = code & 0x3ff;
    if (exponent === 0) return sign * fraction * 2 ** -24;
    if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
    return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  });
}
