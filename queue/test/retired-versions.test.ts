import { expect, it, onTestFinished, vi } from 'vitest';
import { PRIORITIES, type ServedModel } from '../contract.ts';
import { Consumer } from '../jobs/consumer.ts';
import { connect, leftovers, setUp, success } from './queue.fixture.ts';

/** A worker of another version of the model, which is registered and so becomes the current one. */
async function replace(
  queue: Awaited<ReturnType<typeof setUp>>,
  version: string,
  changes: Partial<ServedModel['input']>,
) {
  const { prefix, redis, model } = queue;
  const next = { ...model, version, input: { ...changes, ...model.input, ...changes } };
  const worker = new Consumer({ redis, blockingRedis: connect('blocking'), prefix, model: next, worker: version });
  const register = () => worker.register({ worker: version, version, engine: 'scripted', startedAtMs: 0 });
  await register();
  return { worker, register };
}

it.each([
  { fairShares: true, where: 'in backlogs' },
  { fairShares: false, where: 'in streams' },
])('more jobs than one step moves, $where of several lanes, move step by step', async ({ fairShares }) => {
  const queue = await setUp({ fairShares, maxQueueSize: 1_000 });
  const { consumer, admit, redis, keys, producer, prefix } = queue;
  const ids = [];
  for (const priority of PRIORITIES) {
    const states = await Promise.all(Array.from({ length: 110 }, (_, n) => admit(n, { priority, share: false })));
    ids.push(...states.map(({ id }) => id));
  }
  const { worker } = await replace(queue, 'bbbbbbbbbbbb', { width: 2 });
  await consumer.deregister();
  const moved = [];
  const drained = [];
  for (let step = 0; step < 4; step++) {
    moved.push(await worker.migrateRetired());
    drained.push(await consumer.isDrained());
  }
  expect(moved).toEqual([100, 100, 100, 30]);
  expect(drained).toEqual([false, false, false, true]);
  expect(Object.keys(await redis.hgetall(keys.specs)).sort()).toEqual(['bbbbbbbbbbbb', 'current']);
  for (let jobs = await worker.claim(100); jobs.length > 0; jobs = await worker.claim(100)) {
    await worker.settle((await worker.start(jobs)).map(success));
  }
  const ends = await producer.readMany(ids);
  expect(new Set(ends.map((end) => end!.state.status))).toEqual(new Set(['SUCCEEDED']));
  expect(await leftovers(redis, prefix)).toEqual([]);
});

it('an old version whose images do not fit has the whole grace period to come back, each time that its last worker is gone', async () => {
  const queue = await setUp({ graceMs: 60_000 });
  const { consumer, admit, addWorker, producer } = queue;
  const { id } = await admit(1);
  const { worker, register } = await replace(queue, 'bbbbbbbbbbbb', { width: 3 });
  const clock = vi.spyOn(performance, 'now');
  onTestFinished(() => clock.mockRestore());
  let nowMs = 0;
  clock.mockImplementation(() => nowMs);
  const migrateAfter = (waitMs: number) => {
    nowMs += waitMs;
    return worker.migrateRetired();
  };
  expect(await migrateAfter(0)).toBe(0);
  expect(await migrateAfter(120_000)).toBe(0);
  await consumer.deregister();
  expect(await migrateAfter(0)).toBe(0);
  expect(await migrateAfter(59_000)).toBe(0);
  // It comes back, as the current version, and leaves again.
  const back = await addWorker();
  expect(await migrateAfter(0)).toBe(0);
  await back.deregister();
  await register();
  expect(await migrateAfter(2_000)).toBe(0);
  expect(await migrateAfter(59_000)).toBe(0);
  expect(await migrateAfter(1_000)).toBe(1);
  expect((await producer.read(id))!.state).toMatchObject({ status: 'FAILED', errorCode: 'VERSION_RETIRED' });
});

it('a late result of an old version ends a prediction whose job has moved, and is named as that of the old version', async () => {
  const queue = await setUp();
  const { consumer, admit, model, producer, redis, prefix } = queue;
  const { id } = await admit(1, { cacheTtlMs: 60_000 });
  const started = await consumer.start(await consumer.claim(1));
  const { worker } = await replace(queue, 'bbbbbbbbbbbb', { width: 2 });
  // As if the old worker had been paused.
  await consumer.deregister();
  expect(await worker.migrateRetired()).toBe(1);
  await consumer.extendLeases(consumer.held.entries());
  expect((await producer.read(id))!.state).toMatchObject({ status: 'PROCESSING', version: 'bbbbbbbbbbbb' });
  expect(await consumer.settle(started.map(success))).toEqual(['settled']);
  expect((await producer.read(id))!.state).toMatchObject({ status: 'SUCCEEDED', version: model.version });
  expect(await leftovers(redis, prefix)).toEqual([]);
});

it('old jobs run on the new version if both need the same pixels, in whatever order and by whatever release the fields were written', async () => {
  const queue = await setUp({ graceMs: 60_000 });
  const { consumer, admit, redis, keys, status, prefix } = queue;
  const { id } = await admit(1);
  const reversed = Object.fromEntries(Object.entries(queue.model.input).reverse());
  const { worker } = await replace(queue, 'bbbbbbbbbbbb', reversed);
  await consumer.deregister();
  // Written by another program.
  await redis.hset(keys.specs, 'cccccccccccc', '{');
  expect(await worker.migrateRetired()).toBe(1);
  await worker.settle((await worker.start(await worker.claim(1))).map(success));
  expect(await status(id)).toBe('SUCCEEDED');
  await redis.hdel(keys.specs, 'cccccccccccc');
  expect(await leftovers(redis, prefix)).toEqual([]);
});

it('jobs of a version whose input has rules that this release does not know are not run on another one', async () => {
  const queue = await setUp({ graceMs: 60_000 });
  const { consumer, admit, redis, keys } = queue;
  await admit(1);
  const newer = { ...queue.model, input: { ...queue.model.input, mirror: true } };
  await redis.hset(keys.specs, newer.version, JSON.stringify(newer));
  const { worker } = await replace(queue, 'bbbbbbbbbbbb', {});
  await consumer.deregister();
  expect(await worker.migrateRetired()).toBe(0);
  expect(await redis.hexists(keys.specs, newer.version)).toBe(1);
});
