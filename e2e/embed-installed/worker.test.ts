import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { setUpPrograms } from './programs.fixture.ts';

const programs = setUpPrograms();

test('startWorker finishes and ends its engines on stop, and leaves the process alone', async ({ skip }) => {
  const { dir, start } = programs.require(skip);
  await writeFile(
    join(dir, 'two-workers.mjs'),
    `import { startWorker } from '@inferql/worker';
    const describe = () => JSON.stringify([process.eventNames().map((n) => [String(n), process.listenerCount(n)]), { ...process.env }, process.cwd()]);
    const before = describe();
    const options = { redisUrl: process.env.REDIS_URL, stateDir: './state' };
    const workers = [
      await startWorker({ ...options, prefix: 'first', models: './models' }),
      await startWorker({ ...options, prefix: 'second', models: [new URL('./models/gray', import.meta.url)] }),
    ];
    if (describe() !== before) throw new Error('changed: ' + before + ' ' + describe());
    console.log('names ' + workers.map((worker) => worker.models()).join(' ') + ';');
    await Promise.all(workers.map((worker) => worker.stop()));
    if (describe() !== before) throw new Error('changed');
    for (const wrong of [{ ...options, models: './nowhere' }, { ...options, models: './models', redisUrl: 'redis://127.0.0.1:1' }])
      await startWorker(wrong).catch((error) => console.log(error.message));
    console.log('end');`,
  );
  const program = await start(['two-workers.mjs'], /(names[^;]+);/, { REDIS_URL: programs.redis.url });
  expect(program.found).toBe('names gray gray');
  await expect.poll(program.output).toMatch(/option 'models' names .*nowhere/);
  await expect.poll(program.output).toMatch(/127\.0\.0\.1:1 \(option 'redisUrl'\) cannot be used/);
  await expect.poll(program.output).toContain('\nend');
  await expect.poll(() => programs.listOurs('two-workers.mjs')).toEqual([]);
  expect(programs.listOurs('engine-process-main')).toHaveLength(1);
});

test('the worker of the example ends with its engine', async ({ skip }) => {
  programs.require(skip);
  expect(await programs.worker.stop()).toBe(0);
  await expect.poll(() => programs.listOurs()).toEqual([]);
});
