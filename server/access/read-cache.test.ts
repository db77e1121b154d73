import { afterEach, expect, test, vi } from 'vitest';
import { createReadCache } from './read-cache.ts';

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/** A cache, and how many times each name was read. */
function count() {
  const reads = new Map<string, number>();
  const cache = createReadCache(async (name) => {
    reads.set(name, (reads.get(name) ?? 0) + 1);
    return name;
  });
  return { cache, reads };
}

test('however many names are asked for, the latest ten thousand are kept', async () => {
  const { cache, reads } = count();
  for (let i = 0; i < 10_001; i++) await cache.find(`key ${i}`);
  await cache.find('key 10000');
  await cache.find('key 1');
  expect([reads.get('key 10000'), reads.get('key 1')]).toEqual([1, 1]);
  await cache.find('key 0');
  expect(reads.get('key 0')).toBe(2);
});

test('a value is read again after five seconds, even if the wall clock was set back meanwhile', async () => {
  const { cache, reads } = count();
  await cache.find('key');
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - 3_600_000 });
  const nowMs = performance.now();
  vi.spyOn(performance, 'now').mockReturnValue(nowMs + 4_900);
  await cache.find('key');
  expect(reads.get('key')).toBe(1);
  vi.mocked(performance.now).mockReturnValue(nowMs + 5_001);
  await cache.find('key');
  expect(reads.get('key')).toBe(2);
});

test('a failed read is not kept', async () => {
  const read = vi.fn().mockRejectedValueOnce(new Error('away')).mockResolvedValue('here');
  const cache = createReadCache(read);
  await expect(cache.find('key')).rejects.toThrow('away');
  expect(await cache.find('key')).toBe('here');
});
