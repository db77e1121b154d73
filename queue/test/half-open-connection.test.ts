import { once } from 'node:events';
import { type AddressInfo, connect as connectTcp, createServer, type Socket } from 'node:net';
import { startTestRedis } from '@inferql/testing/redis/redis-server';
import { afterEach, expect, it } from 'vitest';
import { connect, setUp } from './queue.fixture.ts';

const closers: (() => unknown)[] = [];

afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** A proxy to a separate Redis, which can drop everything on its open connections; later ones are served. */
async function startWay() {
  const redis = await startTestRedis();
  closers.push(redis.stop);
  const links = new Set<Socket[]>();
  const server = createServer((client) => {
    const link = [client, connectTcp(redis.port, '127.0.0.1')];
    links.add(link);
    for (const [from, to] of [link, link.toReversed()] as [Socket, Socket][]) {
      from.on('data', (data: Buffer) => links.has(link) && to.write(data));
      from.on('error', () => undefined);
      from.on('close', () => to.destroy());
    }
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => server.close());
  return {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    goSilent: () => links.clear(),
  };
}

it('a connection that no longer delivers anything is opened again, and its commands are sent again', async () => {
  const way = await startWay();
  const { admit, consumer } = await setUp({}, { url: way.url });
  const request = connect('request', way.url);
  await expect.poll(() => request.status).toBe('ready');
  const { id } = await admit(1);
  way.goSilent();
  const refused = request.ping().catch((error: Error) => error.message);
  const [blocked, claimed] = await Promise.all([consumer.waitForJobs(), consumer.claim(1)]);
  expect([...blocked, ...claimed].map(({ jobId }) => jobId)).toEqual([id]);
  expect(await refused).toBe('Command timed out');
  await expect.poll(() => request.ping().catch(() => undefined)).toBe('PONG');
});
