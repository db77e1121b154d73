import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { paint, setUpPrograms } from './programs.fixture.ts';

const programs = setUpPrograms({ withWorker: false });

test('runInline runs Redis and a worker in one program, and leaves no process behind', async ({ skip }) => {
  const { dir, start } = programs.require(skip);
  await writeFile(join(dir, 'image.png'), await paint(99));
  const program = await start(['inline.mjs', 'image.png'], /(SUCCEEDED .*)\n/);
  expect(program.found).toBe('SUCCEEDED gray 99');
  await expect.poll(() => programs.listOurs()).toEqual([]);
});

test('runInline ends with its program, also after SIGKILL', async ({ skip }) => {
  const { dir, start } = programs.require(skip);
  await writeFile(
    join(dir, 'inline-killed.mjs'),
    `import { createInferQL } from '@inferql/server';
    const inferql = createInferQL({ runInline: { models: './models' } });
    await inferql.start();
    console.log('started now');
    setInterval(() => {}, 1000);`,
  );
  const program = await start(['inline-killed.mjs'], /started (now)/);
  expect(programs.listOurs('engine-process-main')).toHaveLength(1);
  process.kill(program.pid, 'SIGKILL');
  await expect.poll(() => programs.listOurs()).toEqual([]);
});

test.each([
  ['a model folder that is missing', "{ models: './nowhere' }", /option 'models' names .*nowhere/],
  [
    'a Redis program that is missing',
    "{ models: './models', redisServer: '/nowhere/redis-server' }",
    /option 'runInline' needs a Redis/,
  ],
])('runInline names %s', async (_what, option, message) => {
  if (!programs.isInstalled()) return;
  const code = `import { createInferQL } from '@inferql/server';
    const inferql = createInferQL({ runInline: ${option} });
    await inferql.start().catch((error) => console.log('error ' + error.message.replaceAll('\\n', ' ') + ' ;'));
    await inferql.stop();`;
  const program = await programs
    .require(() => undefined)
    .start(['--input-type=module', '--eval', code], /error (.*) ;/);
  expect(program.found).toMatch(message);
  await expect.poll(() => programs.listOurs()).toEqual([]);
});
