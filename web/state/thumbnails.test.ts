import { afterEach, expect, test, vi } from 'vitest';
import { keepThumbnail, readThumbnail } from './thumbnails.ts';

afterEach(() => {
  vi.unstubAllGlobals();
});

/** A browser's storage that holds this many characters. */
function storeUpTo(maxLength: number) {
  const kept = new Map<string, string>();
  const lengthWith = (name: string, value: string) =>
    [...kept].reduce((sum, [key, text]) => sum + (key === name ? 0 : text.length), value.length);
  vi.stubGlobal('localStorage', {
    getItem: (name: string) => kept.get(name) ?? null,
    setItem(name: string, value: string) {
      if (lengthWith(name, value) > maxLength) throw new DOMException('full', 'QuotaExceededError');
      kept.set(name, value);
    },
    removeItem: (name: string) => kept.delete(name),
  });
  return kept;
}

const image = (length: number) => 'x'.repeat(length);

test('in a full storage, the oldest copies make room for new ones', () => {
  storeUpTo(1_000);
  for (const id of ['a', 'b', 'c', 'd']) keepThumbnail(id, image(400));
  const kept = ['a', 'b', 'c', 'd'].filter((id) => readThumbnail(id) !== undefined);
  expect(kept).toEqual(['c', 'd']);
});

test('in a full storage, the oldest copies make room for the order of the copies', () => {
  storeUpTo(1_000);
  const lengths = { a: 493, b: 498, c: 100, d: 100 };
  for (const [id, length] of Object.entries(lengths)) keepThumbnail(id, image(length));
  expect(Object.keys(lengths).filter((id) => readThumbnail(id) !== undefined)).toEqual(['b', 'c', 'd']);
});

test('a copy that never fits leaves room for the next one', () => {
  storeUpTo(1_000);
  keepThumbnail('huge', image(5_000));
  keepThumbnail('next', image(900));
  expect(readThumbnail('huge')).toBeUndefined();
  expect(readThumbnail('next')).toBe(image(900));
});

test('the last sixty copies are kept', () => {
  const kept = storeUpTo(Number.POSITIVE_INFINITY);
  for (let i = 0; i < 70; i++) keepThumbnail(`id-${i}`, 'x');
  expect(readThumbnail('id-9')).toBeUndefined();
  expect(readThumbnail('id-10')).toBe('x');
  // And their order.
  expect(kept.size).toBe(61);
});
