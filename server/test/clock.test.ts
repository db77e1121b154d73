/** Ages are measured by a monotonic clock. */
import { expect, test, vi } from 'vitest';
import { atEnd, ENQUEUE, paint, startServer, startWorker } from './server-harness.ts';

const HOUR_MS = 3_600_000;

/** Sets this process' wall clock, but not its timers. */
function setClock(offsetMs: number): void {
  const nowMs = Date.now();
  vi.useFakeTimers({ toFake: ['Date'], now: nowMs + offsetMs });
  atEnd(() => void vi.useRealTimers());
}

test.each([-HOUR_MS, HOUR_MS])('a clock that is set by %i ms does not leave the queue full', async (offsetMs) => {
  const server = await startServer();
  const worker = await startWorker(server.prefix, { queue: { maxQueueSize: 1 } }, { idle: true });
  const send = async () => (await server.upload(ENQUEUE, [await paint(1)])).status;
  expect(await send()).toBe(200);
  expect(await send()).toBe(503);
  setClock(offsetMs);
  expect(await send()).toBe(503);
  worker.claiming.open();
  await expect.poll(send).toBe(200);
});

test('a model that is announced after the clock was set back is known at once', async () => {
  const server = await startServer();
  await server.query('{ models { name } }');
  setClock(-HOUR_MS);
  await startWorker(server.prefix);
  await expect
    .poll(async () => (await server.query('{ models { name } }')).data)
    .toEqual({ models: [{ name: 'tiny' }] });
});
