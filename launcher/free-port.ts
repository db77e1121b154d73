import { once } from 'node:events';
import { createServer } from 'node:net';

/** Systems take the ports of outgoing connections from above, Kubernetes has 30,000 to 32,767, and most services are below. */
const FIRST_PORT = 20_000;
const PORT_COUNT = 10_000;
const TRIES = 100;

/**
 * A port of the loopback address that nothing listens on now. Another process may take it before the caller does, but no outgoing
 * connection does: a program that ends and starts again gets its port back.
 */
export async function findFreePort(): Promise<number> {
  for (let attempt = 0; attempt < TRIES; attempt++) {
    const port = FIRST_PORT + Math.floor(Math.random() * PORT_COUNT);
    if (await tryPort(port)) return port;
  }
  const anyPort = await tryPort(0);
  if (!anyPort) throw new Error('the loopback address has no free port');
  return anyPort;
}

/** @returns the port, or undefined if it is taken; for 0, one that the system chooses. */
async function tryPort(port: number): Promise<number | undefined> {
  const probe = createServer();
  try {
    const listening = once(probe, 'listening');
    probe.listen(port, '127.0.0.1');
    await listening;
  } catch {
    return undefined;
  }
  const { port: found } = probe.address() as { port: number };
  const closed = once(probe, 'close');
  probe.close();
  await closed;
  return found;
}
