/** Redis servers of a topology, commands to one of them, and certificates. */
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
import { afterAll, expect } from 'vitest';
import { type setUp, success } from './queue.fixture.ts';

const run = promisify(execFile);
const servers: TestRedis[] = [];
afterAll(() => Promise.all(servers.map((server) => server.stop())));

export async function startNode(...args: string[]): Promise<TestRedis> {
  const server = await startTestRedis({ args });
  servers.push(server);
  return server;
}

/** @param settings lines of its configuration */
export async function startSentinel(master: TestRedis, ...settings: string[]): Promise<TestRedis> {
  const file = join(master.dir, 'sentinel.conf');
  await writeFile(file, settings.map((line) => `${line}\n`).join(''));
  const sentinel = await startTestRedis({ sentinelFile: file });
  servers.unshift(sentinel);
  return sentinel;
}

/** Sends one command to one server, without a Cluster client. */
export async function command(server: { port: number }, ...words: (string | number)[]): Promise<unknown> {
  const redis = new Redis(server.port, { lazyConnect: true });
  redis.on('error', () => undefined);
  try {
    await redis.connect();
    return await redis.call(words[0] as string, ...words.slice(1));
  } finally {
    redis.disconnect();
  }
}

export type Queue = Awaited<ReturnType<typeof setUp>>;

/** Sends as many pixels as real models have, claims the one job that waits, and settles it. Returns the id of the prediction. */
export async function classifyOne({ admit, consumer, status }: Queue): Promise<string> {
  const image = randomBytes(224 * 224 * 3);
  const { id } = await admit(1, { image });
  const jobs = await consumer.waitForJobs();
  expect(jobs.map((job) => job.image.equals(image))).toEqual([true]);
  const started = await consumer.start(jobs);
  expect(await consumer.settle(started.map(success))).toEqual(['settled']);
  expect(await status(id)).toBe('SUCCEEDED');
  return id;
}

export async function findFreePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address() as AddressInfo;
  probe.close();
  await once(probe, 'close');
  return port;
}

/** Creates a certificate for this machine. Returns its file, and the settings with which a server or Sentinel uses it. */
export async function createCertificate(dir: string) {
  const [key, cert] = [join(dir, 'key.pem'), join(dir, 'cert.pem')];
  const names = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost,IP:127.0.0.1'];
  const kind = ['-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2'];
  await run('openssl', ['req', ...kind, '-keyout', key, '-out', cert, ...names]);
  const files = { 'tls-cert-file': cert, 'tls-key-file': key, 'tls-ca-cert-file': cert };
  return { cert, settings: { ...files, 'tls-auth-clients': 'no' } };
}

/** Connects in a separate process, since Node reads trusted certificates only when it starts. Returns PONG and the user, or the error's code. */
export async function whoAmI(url: string, env: NodeJS.ProcessEnv): Promise<string> {
  const buildDir = await buildSystem();
  const program = `
    const { connectRedis } = await import(${JSON.stringify(join(buildDir, 'queue/redis/connection.js'))});
    const redis = connectRedis(${JSON.stringify(url)}, 'work');
    redis.on('error', (error) => { console.log(error.code ?? error.message); process.exit(0); });
    console.log(await redis.ping(), await redis.call('ACL', 'WHOAMI'));
    redis.disconnect();`;
  const args = ['--input-type=module', '-e', program];
  return (await run(process.execPath, args, { env: { ...process.env, ...env } })).stdout.trim();
}
