import { expect, test } from 'vitest';
import type { Tensor } from './answer-types.ts';
import { readValues } from './tensor-values.ts';

test('numbers of embeddings and tensors are read as they were written, little-endian', () => {
  const floats = Buffer.alloc(8);
  floats.writeFloatLE(1.5, 0);
  floats.writeFloatLE(-3e-9, 4);
  const vector = { name: 'v', size: 2, base64: floats.toString('base64') };
  expect(readValues(vector)).toEqual(Float32Array.from([1.5, -3e-9]));
  const integers = Buffer.alloc(4);
  integers.writeInt32LE(-2);
  const tensor: Tensor = { name: 't', dtype: 'INT32', shape: [1], base64: integers.toString('base64') };
  expect(readValues(tensor)).toEqual(Int32Array.from([-2]));
  expect(() => readValues({ name: 'v', size: 2 })).toThrow(
    new TypeError('v was read without its values: use outputs: true.'),
  );
  expect(readValues({ ...tensor, dtype: 'UINT8' })).toEqual(Uint8Array.from([254, 255, 255, 255]));
});
