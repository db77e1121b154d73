import { expect, test, vi } from 'vitest';
import type { LoadResult } from './load/plan.ts';
import { warmUpServers } from './warm-up.ts';

/** A load generator that gets these numbers of answers, and the last one again and again. */
function createLoad(counts: number[]) {
  const call = vi.fn(async () => ({ answered: counts.length > 1 ? counts.shift() : counts[0] }) as LoadResult);
  return { pid: 0, call, close: async () => {} };
}

test('a warm-up waits for a server whose first answers take long, and ends its worker', async () => {
  const stop = vi.fn(async () => {});
  const load = createLoad([0, 0, 2_400, 0, 2_400, 200]);
  await warmUpServers({ urls: [], startWorker: async () => ({ stop }) }, load, []);
  expect(load.call).toHaveBeenCalledTimes(6);
  expect(stop).toHaveBeenCalledOnce();
});

test('a warm-up fails if a server does not answer', async () => {
  const system = { urls: [], startWorker: async () => ({ stop: async () => {} }) };
  await expect(warmUpServers(system, createLoad([0]), [])).rejects.toThrow('no answers');
});
