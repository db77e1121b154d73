import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { findFreePort } from '@inferql/launcher/free-port';
import { build } from 'esbuild';
import { Redis } from 'ioredis';
import { afterEach, expect, test, vi } from 'vitest';
import { startTestRedis, type TestRedis } from './redis-server.ts';

vi.mock('@inferql/launcher/free-port', async (load) => {
  const real = await load<{ findFreePort: typeof findFreePort }>();
  return { findFreePort: vi.fn(real.findFreePort) };
});

let started: TestRedis[] = [];

afterEach(async () => {
  await Promise.all(started.map((redis) => redis.stop()));
  started = [];
});

async function start(...args: Parameters<typeof startTestRedis>): Promise<TestRedis> {
  const redis = await startTestRedis(...args);
  started.push(redis);
  return redis;
}

async function withClient<T>(url: string, use: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(url, { maxRetriesPerRequest: 1 });
  client.on('error', () => {});
  try {
    return await use(client);
  } finally {
    client.disconnect();
  }
}

test('several private servers run side by side and share nothing', async () => {
  const [one, other] = await Promise.all([start(), start()]);
  expect(one.port).not.toBe(other.port);
  await withClient(one.url, (client) => client.set('who', 'one'));
  expect(await withClient(other.url, (client) => client.get('who'))).toBeNull();
});

test('a server that answers on a port that was free a moment ago is not taken for the own one', async () => {
  const one = await start();
  vi.mocked(findFreePort).mockResolvedValueOnce(one.port);
  const other = await start();
  expect(other.port).not.toBe(one.port);
  await withClient(one.url, (client) => client.set('who', 'one'));
  expect(await withClient(other.url, (client) => client.get('who'))).toBeNull();
});

test('a persistent server keeps its data through kill -9 and comes back on the same address', async () => {
  const redis = await start({ persistent: true });
  const firstPid = redis.pid;
  await withClient(redis.url, (client) => client.set('kept', 'yes'));
  await redis.kill9();
  await expect(withClient(redis.url, (client) => client.ping())).rejects.toThrow();
  await redis.restart();
  expect(redis.pid).not.toBe(firstPid);
  expect(await withClient(redis.url, (client) => client.get('kept'))).toBe('yes');
});

test('stop ends the process and may be called again', async () => {
  const redis = await start();
  await redis.stop();
  expect(() => process.kill(redis.pid, 0)).toThrow();
  await redis.stop();
});

test('more arguments reach the server, and a server that refuses them says why', async () => {
  const redis = await start({ args: ['--maxmemory', '8mb'] });
  const config = await withClient(redis.url, (client) => client.config('GET', 'maxmemory'));
  expect(config).toEqual(['maxmemory', String(8 * 1024 * 1024)]);
  await expect(startTestRedis({ args: ['--no-such-setting', '1'] })).rejects.toThrow(/no-such-setting/);
});

test('a server ends, and its folder goes, with the process that started it, also by kill -9', async () => {
  const source = `
    import { startTestRedis } from './redis-server.ts';
    const { port, dir } = await startTestRedis();
    console.log(JSON.stringify({ port, dir }));
    setInterval(() => {}, 1e6);`;
  const { outputFiles } = await build({
    stdin: { contents: source, resolveDir: import.meta.dirname, loader: 'ts' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    write: false,
  });
  const owner = spawn(process.execPath, ['--input-type=module', '--eval', outputFiles[0]!.text], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(owner.stdout, 'data')) as [Buffer];
  const { port, dir } = JSON.parse(line.toString()) as { port: number; dir: string };
  await withClient(`redis://127.0.0.1:${port}`, (client) => client.ping());
  owner.kill('SIGKILL');
  await expect.poll(() => existsSync(dir)).toBe(false);
  await expect(withClient(`redis://127.0.0.1:${port}`, (client) => client.ping())).rejects.toThrow();
});
