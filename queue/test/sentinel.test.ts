import { once } from 'node:events';
import { type AddressInfo, createServer } from 'node:net';
import { expect, test } from 'vitest';
import { findCure } from '../redis/outage-cures.ts';
import { connect, setUp } from './queue.fixture.ts';
import {
  classifyOne,
  command,
  createCertificate,
  findFreePort,
  startNode,
  startSentinel,
  whoAmI,
} from './redis-nodes.fixture.ts';

test('the master is found by its name, and the new one after a failover, with nothing lost that was replicated', async () => {
  const master = await startNode();
  const replica = await startNode('--replicaof', '127.0.0.1', String(master.port));
  await expect
    .poll(() => command(replica, 'ROLE'), { timeout: 60_000 })
    .toEqual(['slave', '127.0.0.1', master.port, 'connected', expect.any(Number)]);
  const sentinel = await startSentinel(
    master,
    `sentinel monitor photos 127.0.0.1 ${master.port} 1`,
    'sentinel down-after-milliseconds photos 500',
    'sentinel failover-timeout photos 5000',
  );
  await expect.poll(() => command(sentinel, 'SENTINEL', 'REPLICAS', 'photos'), { timeout: 60_000 }).toHaveLength(1);

  const url = `redis+sentinel://127.0.0.1:${sentinel.port}/photos`;
  const queue = await setUp({ graceMs: 60_000 }, { url });
  const before = await classifyOne(queue);
  const waiting = await queue.admit(7);
  // On the connection that wrote it: on another one there would be nothing to wait for.
  expect(await queue.redis.call('WAIT', 1, 5_000)).toBe(1);
  await master.kill9();
  await expect.poll(() => command(replica, 'ROLE'), { timeout: 120_000 }).toEqual(['master', expect.any(Number), []]);
  expect(await queue.status(before)).toBe('SUCCEEDED');
  const jobs = await queue.consumer.claim(8);
  expect(jobs.map(({ jobId }) => jobId)).toEqual([waiting.id]);
});

test('a Sentinel that accepts connections but does not reply is passed over', async () => {
  const master = await startNode();
  const sentinel = await startSentinel(master, `sentinel monitor photos 127.0.0.1 ${master.port} 1`);
  const silent = createServer().listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const { port } = silent.address() as AddressInfo;
  const redis = connect('work', `redis+sentinel://127.0.0.1:${port},127.0.0.1:${sentinel.port}/photos`);
  expect(await redis.ping()).toBe('PONG');
  redis.disconnect();
  silent.close();
});

test('Sentinels may require a login, and the log says so without it', async () => {
  const master = await startNode('--requirepass', 'of-redis');
  const sentinel = await startSentinel(
    master,
    `sentinel monitor photos 127.0.0.1 ${master.port} 1`,
    'sentinel auth-pass photos of-redis',
    'user default on >all@once ~* &* +@all',
    'user inferql on >of+sentinel &* +auth +ping +info +sentinel|get-master-addr-by-name +sentinel|sentinels +subscribe',
  );
  const url = `redis+sentinel://:of-redis@127.0.0.1:${sentinel.port}/photos`;
  for (const login of ['sentinelPassword=all%40once', 'sentinelUsername=inferql&sentinelPassword=of+sentinel']) {
    const redis = connect('work', `${url}?${login}`);
    expect(await redis.ping()).toBe('PONG');
    redis.disconnect();
  }
  for (const login of ['', '?sentinelPassword=wrong']) {
    const redis = connect('work', `${url}${login}`);
    const [error] = (await once(redis, 'error')) as [Error];
    expect(findCure(error.message)).toContain('?sentinelPassword=PASSWORD');
    redis.disconnect();
  }
});

test('rediss+sentinel encrypts the connections to Sentinel and to the master', async () => {
  const master = await startNode();
  const [masterPort, port] = [await findFreePort(), await findFreePort()];
  const { cert, settings } = await createCertificate(master.dir);
  await command(master, 'CONFIG', 'SET', ...Object.entries(settings).flat(), 'tls-port', masterPort);
  await command(master, 'ACL', 'SETUSER', 'inferql', 'on', '>secret', '~*', '&*', '+@all');
  await startSentinel(
    master,
    ...Object.entries({ ...settings, 'tls-port': port }).map((setting) => setting.join(' ')),
    'tls-replication yes',
    `sentinel monitor photos 127.0.0.1 ${masterPort} 1`,
  );
  const url = `rediss+sentinel://inferql:secret@127.0.0.1:${port}/photos`;
  expect(await whoAmI(url, { NODE_EXTRA_CA_CERTS: cert })).toBe('PONG inferql');
});
