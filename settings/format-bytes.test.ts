import { expect, test } from 'vitest';
import { formatBytes } from './format-bytes.ts';

test.each([
  [0, '0 bytes'],
  [999, '999 bytes'],
  [1000, '1 kB'],
  [1023, '1,023 bytes'],
  [1024, '1 KiB'],
  [1536, '1,536 bytes'],
  [262_144, '256 KiB'],
  [5_000_000, '5 MB'],
  [10_485_760, '10 MiB'],
  [10_485_761, '10,485,761 bytes'],
  [1_610_612_736, '1,536 MiB'],
  [2 ** 31, '2 GiB'],
])('%d bytes are %s', (bytes, text) => {
  expect(formatBytes(bytes)).toBe(text);
});
