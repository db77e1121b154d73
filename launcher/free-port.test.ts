import { once } from 'node:events';
import { createServer } from 'node:net';
import { afterEach, expect, test, vi } from 'vitest';
import { findFreePort } from './free-port.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

test('a free port is none that the system gives to outgoing connections', async () => {
  const port = await findFreePort();
  expect(port).toBeGreaterThanOrEqual(20_000);
  expect(port).toBeLessThan(30_000);
  const server = createServer();
  const listening = once(server, 'listening');
  server.listen(port, '127.0.0.1');
  await listening;
  server.close();
});

test('taken ports are passed over; if all of them are, the system chooses', async () => {
  const server = createServer();
  const port = await findFreePort();
  const listening = once(server, 'listening');
  server.listen(port, '127.0.0.1');
  await listening;
  const chance = (port - 20_000) / 10_000 + 1e-6;
  vi.spyOn(Math, 'random').mockReturnValueOnce(chance).mockReturnValueOnce(chance);
  expect(await findFreePort()).not.toBe(port);
  expect(Math.random).toHaveBeenCalledTimes(3);
  vi.mocked(Math.random).mockReturnValue(chance);
  expect(await findFreePort()).not.toBe(port);
  server.close();
});
