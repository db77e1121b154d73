import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { convertHere } from '@inferql/converter/conversion-process/conversion';
import { Registry } from '@inferql/queue/models/registry';
import { connectRedis } from '@inferql/queue/redis/connection';
import { startTestRedis } from '@inferql/testing/redis/redis-server';
import { type Logger, pino } from 'pino';
import { expect, onTestFinished, test } from 'vitest';
import { createFolderSource } from './model-source.ts';

/** A Redis, and a folder of models. */
async function setUp() {
  const server = await startTestRedis();
  const redis = connectRedis(server.url, 'work');
  const modelsDir = await mkdtemp(join(tmpdir(), 'inferql-source-'));
  onTestFinished(async () => {
    redis.disconnect();
    await Promise.all([server.stop(), rm(modelsDir, { recursive: true })]);
  });
  const createSource = (log: Logger) =>
    createFolderSource({
      modelsDir,
      stateDir: modelsDir,
      models: [],
      redis,
      prefix: 'test',
      log,
      convert: convertHere,
    });
  return { redis, modelsDir, createSource };
}

test('a folder that is not a model is logged once, with what makes it one, but not while it may still be copied', async () => {
  const { modelsDir, createSource } = await setUp();
  const logged: string[] = [];
  const write = (line: string) => void logged.push(JSON.parse(line).msg);
  const log = pino({ level: 'warn' }, { write });
  const source = createSource(log);
  await mkdir(join(modelsDir, 'export'));
  expect(await source.list()).toEqual([]);
  expect(logged).toEqual([]);
  await source.list();
  await source.list();
  expect(logged).toEqual([
    expect.stringMatching(/export has no model\.json5 and is not served: `npx inferql models add /),
  ]);
  await writeFile(join(modelsDir, 'export', 'model.json5'), '{}');
  expect(await source.list()).toEqual(['export']);
  await rm(join(modelsDir, 'export', 'model.json5'));
  for (let look = 0; look < 3; look++) await source.list();
  expect(logged).toHaveLength(2);
});

test('the default model is registered again if Redis has lost it, but another one that was chosen since is kept', async () => {
  const { redis, modelsDir, createSource } = await setUp();
  for (const name of ['ant', 'bee']) {
    await mkdir(join(modelsDir, name));
    await writeFile(join(modelsDir, name, 'model.json5'), '{}');
  }
  await writeFile(join(modelsDir, 'repository.json5'), "{ default: 'bee' }");
  const log = pino({ level: 'silent' });
  const source = createSource(log);
  const registry = new Registry(redis, { prefix: 'test' });
  await source.list();
  await expect.poll(() => registry.defaultModel()).toBe('bee');
  await redis.flushall();
  await source.list();
  await expect.poll(() => registry.defaultModel()).toBe('bee');
  await registry.setDefaultModel('ant');
  for (let look = 0; look < 3; look++) await source.list();
  expect(await registry.defaultModel()).toBe('ant');
});
