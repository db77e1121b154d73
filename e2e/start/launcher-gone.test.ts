/** A process whose launcher ends while it is still loading: no event reports that to it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildSystem, bundledProgram } from '@inferql/testing/build';
import { removeFolder } from '@inferql/testing/processes/remove-folder';
import { startTestRedis, type TestRedis } from '@inferql/testing/redis/redis-server';
import { scriptedModel } from '@inferql/testing/system/system';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';

let redis: TestRedis;
let buildDir: string;
let stateDir: string;

beforeAll(async () => {
  buildDir = await buildSystem();
  redis = await startTestRedis();
  stateDir = await mkdtemp(join(tmpdir(), 'inferql-launcher-gone-'));
});

afterAll(async () => {
  await redis.stop();
  await removeFolder(stateDir);
});

test.each(['server', 'worker'] as const)('a %s exits', async (part) => {
  const child = spawn(process.execPath, [bundledProgram(buildDir, `${part}/main`)], {
    env: {
      PATH: process.env.PATH,
      HOST: '127.0.0.1',
      PORT: '0',
      REDIS_URL: redis.url,
      INFERQL_STATE_DIR: stateDir,
      INFERQL_MODELS_DIR: stateDir,
      INFERQL_SCRIPTED_MODELS: JSON.stringify([scriptedModel()]),
    },
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  onTestFinished(() => void child.kill('SIGKILL'));
  child.disconnect();
  expect(await once(child, 'exit')).toEqual([0, null]);
});
