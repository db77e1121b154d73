import { execFile } from 'node:child_process';
import { buildSystem, bundledProgram } from '@inferql/testing/build';
import { startSystem, type TestSystem } from '@inferql/testing/system/system';
import { afterAll, beforeAll, expect, test } from 'vitest';

let buildDir: string;
let system: TestSystem;

beforeAll(async () => {
  [buildDir, system] = await Promise.all([buildSystem(), startSystem({ servers: 0 })]);
});

afterAll(async () => {
  await system?.end();
});

function checkHealth(redisUrl: string): Promise<number> {
  return new Promise((resolve) => {
    const env = { PATH: process.env.PATH, REDIS_URL: redisUrl };
    const check = execFile(process.execPath, [bundledProgram(buildDir, 'worker/container-health-check')], { env });
    check.once('exit', (code) => resolve(code ?? -1));
  });
}

test('a worker is healthy while it is registered', async () => {
  expect(await checkHealth(system.redis.url)).toBe(0);
  await system.workers[0]!.stop();
  expect(await checkHealth(system.redis.url)).toBe(1);
});

test('without Redis a worker is unhealthy, and the check does not hang', async () => {
  expect(await checkHealth('redis://127.0.0.1:1')).toBe(1);
});
