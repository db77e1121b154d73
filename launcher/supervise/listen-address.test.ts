import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { checkPortIsFree } from './listen-address.ts';

const HOST = '127.0.0.1';

async function listen(port: number): Promise<number | undefined> {
  const server: Server = createServer();
  try {
    const listening = once(server, 'listening');
    server.listen(port, HOST);
    await listening;
  } catch {
    return undefined;
  }
  onTestFinished(() => new Promise<void>((resolve) => server.close(() => resolve())));
  return (server.address() as AddressInfo).port;
}

test('if a port is taken, the next one that is free is proposed', async () => {
  const port = (await listen(0))!;
  // It may be another program's: it is taken, which is all that matters.
  await listen(port + 1);
  const { message } = await checkPortIsFree(port, HOST).then(
    () => expect.unreachable(),
    (error: Error) => error,
  );
  expect(message).toContain(`Port ${port} on ${HOST} is taken`);
  const proposed = Number(/PORT=(\d+)$/.exec(message)![1]);
  expect(proposed).not.toBe(port + 1);
  expect(await listen(proposed)).toEqual(proposed === 0 ? expect.any(Number) : proposed);
});
