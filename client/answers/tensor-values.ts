import type { Embedding, Tensor } from './answer-types.ts';

/**
 * Decodes an embedding or a tensor.
 * @returns its elements, row-major
 * @throws TypeError if it was read with `outputs: 'summary'`, without its values
 * @example
 * const { result } = await client.classify(image, { outputs: true });
 * const vector = readValues(result.embeddings![0]!);
 */
export function readValues(output: Embedding): Float32Array;
/**
 * Decodes a tensor into an array of its type.
 * @example
 * const values = readValues(result.tensors![0]!);
 */
export function readValues(output: Embedding | Tensor): Float32Array | Int32Array | Uint8Array;
export function readValues(output: Embedding | Tensor): Float32Array | Int32Array | Uint8Array {
  if (output.base64 === undefined)
    throw new TypeError(`${output.name} was read without its values: use outputs: true.`);
  const bytes = Uint8Array.from(atob(output.base64), (character) => character.charCodeAt(0));
  const dtype = 'dtype' in output ? output.dtype : 'FLOAT32';
  if (dtype === 'UINT8') return bytes;
  // Every machine that runs JavaScript today is little-endian.
  return dtype === 'INT32' ? new Int32Array(bytes.buffer) : new Float32Array(bytes.buffer);
}
