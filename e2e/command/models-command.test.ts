/** `npm run models` in a clone whose private Redis runs, from another folder. */
import { execFile } from 'node:child_process';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findRedisServer } from '@inferql/launcher/redis/find-redis';
import { type RunningRedis, startPrivateRedis } from '@inferql/launcher/redis/private-redis';
import { Consumer } from '@inferql/queue/jobs/consumer';
import { connectRedis, type RedisConnection } from '@inferql/queue/redis/connection';
import { DEFAULT_PREFIX, registryKeys } from '@inferql/queue/redis/keys';
import { makeServedModel } from '@inferql/testing/data/served-model';
import { type Clone, cloneProject } from '@inferql/testing/launcher/clone';
import { afterAll, beforeAll, expect, test } from 'vitest';

let clone: Clone;
let server: RunningRedis;
let redis: RedisConnection;

beforeAll(async () => {
  clone = cloneProject({ models: false, built: true });
  // As a person writes it: relative to the clone.
  writeFileSync(join(clone.dir, '.env'), 'INFERQL_STATE_DIR=state\n');
  const binary = findRedisServer(process.env.INFERQL_REDIS_SERVER, join(clone.dir, 'no-build'), () => {});
  if (!binary) throw new Error('no Redis server on the PATH');
  const quiet = { showStep: <T>(_title: string, work: () => Promise<T>) => work(), printError: () => {} };
  server = await startPrivateRedis(binary, join(clone.dir, 'state'), quiet);
  redis = connectRedis(server.url, 'work');
});

afterAll(async () => {
  redis?.disconnect();
  await server?.stop();
  clone?.remove();
});

/** What it prints; rejects with what it prints as an error. */
async function models(...words: string[]): Promise<string> {
  const env = {
    ...process.env,
    VITEST: undefined,
    NODE_ENV: undefined,
    REDIS_URL: undefined,
    INFERQL_STATE_DIR: undefined,
  };
  const folder = join(clone.dir, 'docs');
  const options = { cwd: clone.dir, env: { ...env, INIT_CWD: folder } };
  const args = ['scripts/run.mjs', 'models', ...words];
  return (await promisify(execFile)(process.execPath, args, options)).stdout;
}

/** A model that a worker has served, and serves no longer. */
async function leaveGhost(name: string): Promise<void> {
  const blockingRedis = connectRedis(server.url, 'blocking');
  const consumer = new Consumer({
    redis,
    blockingRedis,
    prefix: DEFAULT_PREFIX,
    worker: 'gone',
    labels: ['a', 'b'],
    model: makeServedModel(name, { classCount: 2 }),
  });
  await consumer.register({ worker: 'gone', version: 'aaaaaaaaaaaa', engine: 'scripted', startedAtMs: 0 });
  await consumer.deregister();
  blockingRedis.disconnect();
}

test('forgets a model in the private Redis of the clone', async () => {
  await leaveGhost('ghost');
  expect(await redis.smembers(registryKeys(DEFAULT_PREFIX).models)).toEqual(['ghost']);
  expect(await models('forget', 'ghost')).toContain('forgot ghost');
  expect(await redis.smembers(registryKeys(DEFAULT_PREFIX).models)).toEqual([]);
  await expect(models('forget', 'ghost')).rejects.toThrow("Redis has no model 'ghost'");
});

test('names the default model, and removing that model names another', async () => {
  cpSync(join(clone.dir, 'models/resnet50'), join(clone.dir, 'models/second'), { recursive: true });
  expect(await models('default')).toContain('resnet50');
  expect(await models('default', 'second')).toContain('the default model is now second');
  expect(readFileSync(join(clone.dir, 'models/repository.json5'), 'utf8')).toMatch(/default: 'second'/);
  await expect(models('default', 'third')).rejects.toThrow(/no model third .*resnet50, second/);
  expect(await models('remove', 'second')).toContain('the default model is now resnet50');
});
