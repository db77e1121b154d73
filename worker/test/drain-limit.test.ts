/** What `startWorker` leaves in a host program whose `stop()` reaches its limit. */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { buildSystem } from '@inferql/testing/build';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { setUpRepository } from './repository.fixture.ts';

const repository = setUpRepository();
const HANGS = 7;

let workerModule: string;
beforeAll(async () => {
  workerModule = pathToFileURL(join(await buildSystem(), 'worker/index.js')).href;
});

/** A host program that does not exit explicitly: it ends when nothing of the worker is left. */
async function startHost() {
  const { folder, modelsDir, redis, queue } = repository;
  const model = join(modelsDir, 'slow');
  await mkdir(model);
  await writeFile(
    join(model, 'model.json5'),
    "{ engine: './engine.js', input: { width: 2, height: 2, channels: 1 }, batching: { maxBatchSize: 2 } }",
  );
  await writeFile(join(model, 'labels.json'), '["one", "two"]');
  await writeFile(
    join(model, 'engine.js'),
    `export default {
      load: () => ({
        async run({ images, count }) {
          if (images[0] === ${HANGS}) await new Promise(() => {});
          return { probabilities: Array.from({ length: count }, () => [1, 0]) };
        },
      }),
    };`,
  );
  const options = { redisUrl: redis.url, prefix: queue.prefix, stateDir: join(folder, 'state'), engineThreads: 1 };
  const program = join(folder, 'host.mjs');
  await writeFile(
    program,
    `import { startWorker } from ${JSON.stringify(workerModule)};
    const options = ${JSON.stringify({ ...options, drainLimitMs: 300 })};
    const worker = await startWorker({ ...options, models: [${JSON.stringify(model)}] });
    process.once('message', async () => {
      await worker.stop();
      process.disconnect();
    });
    process.send('ready');`,
  );
  const host = fork(program, [], { execArgv: [], env: { PATH: process.env.PATH, HOME: process.env.HOME } });
  onTestFinished(() => void host.kill('SIGKILL'));
  await once(host, 'message');
  return host;
}

test.each([
  { images: 1, what: 'a run' },
  { images: 3, what: 'a batch and further jobs' },
])('a host program exits after a stop that did not wait for the end of $what', async ({ images }) => {
  const host = await startHost();
  const model = await repository.queue.model('slow');
  const submit = () => repository.queue.submit(model, Uint8Array.of(HANGS, 0, 0, 0));
  const ids = await Promise.all(Array.from({ length: images }, submit));
  await Promise.race(ids.map((id) => repository.queue.when(id, ({ status }) => status === 'PROCESSING')));
  const exit = once(host, 'exit');
  host.send('stop');
  expect(await exit).toEqual([0, null]);
  // Other workers reclaim them.
  const statuses = (await repository.queue.producer.readMany(ids)).map((snapshot) => snapshot!.state.status);
  expect(statuses.filter((status) => !['QUEUED', 'PROCESSING'].includes(status))).toEqual([]);
});

test('the same if Redis is gone', async () => {
  const host = await startHost();
  await repository.redis.kill9();
  const exit = once(host, 'exit');
  host.send('stop');
  expect(await exit).toEqual([0, null]);
});
