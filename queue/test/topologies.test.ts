import { once } from 'node:events';
import { describe, expect, it } from 'vitest';
import { createLimiter } from '../access/rate-limiter.ts';
import { Refunds } from '../access/refunds.ts';
import { EventChannel } from '../predictions/event-channel.ts';
import { connectRedis } from '../redis/connection.ts';
import { callRedis, isRedisUnavailable } from '../redis/errors.ts';
import { findCure } from '../redis/outage-cures.ts';
import { checkRedisVersion } from '../redis/version.ts';
import { connect, setUp, success } from './queue.fixture.ts';
import {
  classifyOne,
  command,
  createCertificate,
  findFreePort,
  type Queue,
  startNode,
  whoAmI,
} from './redis-nodes.fixture.ts';

/** Subscribes to the model's channel. Returns the list that received statuses are added to. */
async function listen(url: string, { prefix, model }: Queue): Promise<string[]> {
  const statuses: string[] = [];
  const channel = new EventChannel(
    { subscriber: connect('subscriber', url), redis: connect('work', url), prefix },
    {
      onState: (_id, parse) => statuses.push(parse().status),
      onGap: () => undefined,
      onModelsChanged: () => undefined,
    },
  );
  await channel.subscribe(model.name);
  return statuses;
}

describe('Redis Cluster of three nodes', () => {
  it('serves several models on different slots: every step, the channel, and reads across models', async () => {
    const nodes = await Promise.all(
      [1, 2, 3].map(() => startNode('--cluster-enabled', 'yes', '--cluster-require-full-coverage', 'yes')),
    );
    const bounds = [0, 5461, 10922, 16384];
    for (const [i, node] of nodes.entries()) {
      await command(node, 'CLUSTER', 'ADDSLOTSRANGE', bounds[i]!, bounds[i + 1]! - 1);
      await command(node, 'CLUSTER', 'SET-CONFIG-EPOCH', i + 1);
    }
    for (const node of nodes.slice(1)) await command(nodes[0]!, 'CLUSTER', 'MEET', '127.0.0.1', node.port);
    for (const node of nodes) {
      await expect.poll(() => command(node, 'CLUSTER', 'INFO'), { timeout: 60_000 }).toContain('cluster_state:ok');
      await expect
        .poll(
          async () =>
            String(await command(node, 'CLUSTER', 'NODES'))
              .split('\n')
              .filter(Boolean).length,
        )
        .toBe(3);
    }

    const url = `redis+cluster://${nodes.map(({ port }) => `127.0.0.1:${port}`).join(',')}`;
    const names = ['tiny', 'alpha', 'beta', 'gamma'];
    const slots = await Promise.all(
      names.map((name, i) => command(nodes[0]!, 'CLUSTER', 'KEYSLOT', `test${i}:{test${i}:${name}}`)),
    );
    expect(new Set(slots).size).toBe(names.length);
    const ids: string[] = [];
    for (const name of names) {
      const queue = await setUp({}, { url, name });
      const heard = await listen(url, queue);
      ids.push(await classifyOne(queue));
      await expect.poll(() => heard).toEqual(['PROCESSING', 'SUCCEEDED']);
      expect((await queue.registry.models()).map((model) => model.name)).toEqual([name]);
      for (const tenant of ['a', 'b', 'a', 'b', 'a']) {
        await queue.admit(9, { caller: { tenant, keyId: undefined, weight: 1 }, share: false });
      }
      const served = await queue.consumer.start(await queue.consumer.claim(8));
      expect(served.map(({ job }) => job.tenant).sort()).toEqual(['a', 'a', 'a', 'b', 'b']);
      await queue.consumer.settle(served.map(success));
      const limiter = createLimiter(queue.redis, { prefix: queue.prefix });
      const rules = {
        limits: [],
        quotas: [{ owner: 'tenant', unit: 'requests' as const, limit: 1, period: 'day' as const }],
      };
      const take = { tenant: name, id: name, cost: { machineMs: 1, requests: 1, bytes: 1 }, rules };
      const taken = await limiter.take(take);
      if (!taken.allowed) throw new Error('refused');
      await queue.producer.cancel((await queue.admit(3, { charge: taken.charge })).id);
      const refunds = new Refunds(queue.redis, { prefix: queue.prefix, limiter });
      expect([await refunds.settle(name), await refunds.settle(name)]).toEqual([1, 0]);
      const stalled = await queue.admit(2);
      await queue.consumer.claim(8);
      await queue.consumer.deregister();
      expect((await (await queue.addWorker()).reclaim(8)).map(({ jobId }) => jobId)).toEqual([stalled.id]);
      expect(await queue.producer.readMany([stalled.id, 'other.AAAAAAAAAAAAAAAAAAAAAA'])).toMatchObject([
        { state: { id: stalled.id } },
        null,
      ]);
    }
    expect(ids).toHaveLength(4);
  });
});

it('a node of a cluster is refused if the URL does not name a cluster, unless it has all keys', async () => {
  const nodes = await Promise.all([1, 2].map(() => startNode('--cluster-enabled', 'yes')));
  await command(nodes[0]!, 'CLUSTER', 'ADDSLOTSRANGE', 0, 16_383);
  await expect.poll(() => command(nodes[0]!, 'CLUSTER', 'INFO'), { timeout: 60_000 }).toContain('cluster_state:ok');
  const { url } = nodes[0]!;
  await checkRedisVersion(connect('work', url));
  const queue = await setUp({}, { url });
  await classifyOne(queue);

  // The model's keys move to the other node.
  const slot = (await command(nodes[0]!, 'CLUSTER', 'KEYSLOT', queue.keys.specs)) as number;
  await command(nodes[0]!, 'FLUSHALL');
  await command(nodes[0]!, 'CLUSTER', 'MEET', '127.0.0.1', nodes[1]!.port);
  const other = await command(nodes[1]!, 'CLUSTER', 'MYID');
  for (const node of nodes) {
    await expect
      .poll(() => command(node, 'CLUSTER', 'SETSLOT', slot, 'NODE', other as string).catch(String), { timeout: 60_000 })
      .toBe('OK');
  }
  await expect
    .poll(() => command(nodes[0]!, 'CLUSTER', 'INFO'), { timeout: 60_000 })
    .toMatch(/cluster_state:ok.*cluster_size:2/s);
  await expect(checkRedisVersion(connect('work', url))).rejects.toThrow(/write redis\+cluster:\/\//);
  const redis = connect('work', url);
  const refused = once(redis, 'refused');
  await expect(callRedis(() => redis.hgetall(queue.keys.specs))).rejects.toThrow(
    expect.objectContaining({ code: 'UNAVAILABLE' }),
  );
  expect(findCure(((await refused)[0] as Error).message)).toContain('redis+cluster://');
});

describe('access', () => {
  it('takes user and password from the URL', async () => {
    const server = await startNode();
    await command(server, 'ACL', 'SETUSER', 'inferql', 'on', '>p@ss:w/rd', '~*', '&*', '+@all');
    await command(server, 'ACL', 'SETUSER', 'default', 'off');
    const url = `redis://inferql:${encodeURIComponent('p@ss:w/rd')}@127.0.0.1:${server.port}`;
    await classifyOne(await setUp({}, { url }));
  });

  it('uses TLS with a server whose certificate it can check, and with no other', async () => {
    const server = await startNode();
    const port = await findFreePort();
    const { cert, settings } = await createCertificate(server.dir);
    await command(server, 'CONFIG', 'SET', ...Object.entries(settings).flat(), 'tls-port', port);
    await command(server, 'ACL', 'SETUSER', 'inferql', 'on', '>secret', '~*', '&*', '+@all');
    const url = `rediss://inferql:secret@localhost:${port}`;
    expect(await whoAmI(url, { NODE_EXTRA_CA_CERTS: cert })).toBe('PONG inferql');
    expect(await whoAmI(url, {})).toBe('DEPTH_ZERO_SELF_SIGNED_CERT');
  });

  it.each(['http://127.0.0.1', 'redis+sentinel://127.0.0.1:1', 'redis+cluster://a:b:c', 'nonsense'])(
    'refuses the URL %s with a reason',
    (url) => {
      expect(() => connectRedis(url, 'work')).toThrow(/REDIS_URL/);
    },
  );
});

it('while Redis is down everything is UNAVAILABLE within seconds, and its return is noticed automatically', async () => {
  const server = await startNode();
  const queue = await setUp({ graceMs: 60_000 }, { url: server.url });
  const redis = connect('request', server.url);
  await expect.poll(() => redis.status).toBe('ready');
  await server.kill9();
  const failure = await redis.get('key').then(
    () => undefined,
    (error: unknown) => error,
  );
  expect(isRedisUnavailable(failure)).toBe(true);
  await server.restart();
  await expect.poll(() => redis.get('key').catch((error: Error) => error.message), { timeout: 20_000 }).toBeNull();
  await queue.consumer.register({
    worker: 'worker1',
    version: queue.model.version,
    engine: 'scripted',
    startedAtMs: 0,
  });
  await classifyOne(queue);
});

it('a Redis that is too old is refused by its version, a recent one is not', async () => {
  const redis = connect('work');
  await expect(checkRedisVersion(redis)).resolves.toBeUndefined();
  const old = Object.assign(Object.create(redis) as typeof redis, {
    info: async () => '# Server\r\nredis_version:6.2.14\r\nredis_mode:standalone\r\n',
  });
  await expect(checkRedisVersion(old)).rejects.toThrow(/7 or later.*6\.2\.14/);
});
