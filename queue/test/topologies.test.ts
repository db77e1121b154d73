import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { type AddressInfo, createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { buildSystem } from '@inferql/testing/build';
import { startTestRedis, type TestRedis } from '@inferql/testing/redis/redis-server';
import { Redis } from 'ioredis';
import { afterAll, describe, expect, it } from 'vitest';
import { createLimiter } from '../access/rate-limiter.ts';
import { Refunds } from '../access/refunds.ts';
import { EventChannel } from '../predictions/event-channel.ts';
import { connectRedis } from '../redis/connection.ts';
import { isRedisUnavailable } from '../redis/errors.ts';
import { checkRedisVersion } from '../redis/version.ts';
import { connect, setUp, success } from './queue.fixture.ts';

const run = promisify(execFile);
const servers: TestRedis[] = [];
afterAll(() => Promise.all(servers.map((server) => server.stop())));

async function start(...args: string[]): Promise<TestRedis> {
  const server = await startTestRedis({ args });
  servers.push(server);
  return server;
}

/** Sends one command to one server, without a Cluster client. */
async function command(server: { port: number }, ...words: (string | number)[]): Promise<unknown> {
  const redis = new Redis(server.port, { lazyConnect: true });
  redis.on('error', () => undefined);
  try {
    await redis.connect();
    return await redis.call(words[0] as string, ...words.slice(1));
  } finally {
    redis.disconnect();
  }
}

type Queue = Awaited<ReturnType<typeof setUp>>;

/** Sends as many pixels as real models have, claims the one job that waits, and settles it. Returns the id of the prediction. */
async function classifyOne({ admit, consumer, status }: Queue): Promise<string> {
  const image = randomBytes(224 * 224 * 3);
  const { id } = await admit(1, { image });
  const jobs = await consumer.waitForJobs();
  expect(jobs.map((job) => job.image.equals(image))).toEqual([true]);
  const started = await consumer.start(jobs);
  expect(await consumer.settle(started.map(success))).toEqual(['settled']);
  expect(await status(id)).toBe('SUCCEEDED');
  return id;
}

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
      [1, 2, 3].map(() => start('--cluster-enabled', 'yes', '--cluster-require-full-coverage', 'yes')),
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

describe('Sentinel', () => {
  it('finds the master by its name, and the new one after a failover, with nothing lost that was replicated', async () => {
    const master = await start();
    const replica = await start('--replicaof', '127.0.0.1', String(master.port));
    await expect
      .poll(() => command(replica, 'ROLE'), { timeout: 60_000 })
      .toEqual(['slave', '127.0.0.1', master.port, 'connected', expect.any(Number)]);
    const file = join(master.dir, 'sentinel.conf');
    await writeFile(
      file,
      `sentinel monitor photos 127.0.0.1 ${master.port} 1\nsentinel down-after-milliseconds photos 500\nsentinel failover-timeout photos 5000\n`,
    );
    const sentinel = await startTestRedis({ sentinelFile: file });
    servers.unshift(sentinel);
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
});

describe('access', () => {
  it('takes user and password from the URL', async () => {
    const server = await start();
    await command(server, 'ACL', 'SETUSER', 'inferql', 'on', '>p@ss:w/rd', '~*', '&*', '+@all');
    await command(server, 'ACL', 'SETUSER', 'default', 'off');
    const url = `redis://inferql:${encodeURIComponent('p@ss:w/rd')}@127.0.0.1:${server.port}`;
    await classifyOne(await setUp({}, { url }));
  });

  it('uses TLS with a server whose certificate it can check, and with no other', async () => {
    const server = await start();
    const [key, cert] = [join(server.dir, 'key.pem'), join(server.dir, 'cert.pem')];
    const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
    await run('openssl', [
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      '2',
      '-keyout',
      key,
      '-out',
      cert,
      ...names,
    ]);
    const probe = createServer().listen(0, '127.0.0.1');
    await once(probe, 'listening');
    const { port } = probe.address() as AddressInfo;
    probe.close();
    await once(probe, 'close');
    const files = ['tls-cert-file', cert, 'tls-key-file', key, 'tls-ca-cert-file', cert];
    await command(server, 'CONFIG', 'SET', ...files, 'tls-auth-clients', 'no', 'tls-port', port);
    await command(server, 'ACL', 'SETUSER', 'inferql', 'on', '>secret', '~*', '&*', '+@all');

    // Node reads trusted certificates only when it starts, so this needs a separate process.
    const buildDir = await buildSystem();
    const program = `
      const { connectRedis } = await import(${JSON.stringify(join(buildDir, 'queue/redis/connection.js'))});
      const redis = connectRedis('rediss://inferql:secret@localhost:${port}', 'work');
      redis.on('error', (error) => { console.log(error.code); process.exit(0); });
      console.log(await redis.ping(), await redis.call('ACL', 'WHOAMI'));
      redis.disconnect();`;
    const ask = async (env: NodeJS.ProcessEnv) =>
      (
        await run(process.execPath, ['--input-type=module', '-e', program], { env: { ...process.env, ...env } })
      ).stdout.trim();
    expect(await ask({ NODE_EXTRA_CA_CERTS: cert })).toBe('PONG inferql');
    expect(await ask({})).toBe('DEPTH_ZERO_SELF_SIGNED_CERT');
  });

  it.each(['http://127.0.0.1', 'redis+sentinel://127.0.0.1:1', 'redis+cluster://a:b:c', 'nonsense'])(
    'refuses the URL %s with a reason',
    (url) => {
      expect(() => connectRedis(url, 'work')).toThrow(/REDIS_URL/);
    },
  );
});

it('while Redis is down everything is UNAVAILABLE within seconds, and its return is noticed automatically', async () => {
  const server = await start();
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
