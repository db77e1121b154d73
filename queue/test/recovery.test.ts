import { expect, it } from 'vitest';
import { Consumer } from '../jobs/consumer.ts';
import { connect, failure, setUp, success, takeOver } from './queue.fixture.ts';

const heartbeat = { version: 'aaaaaaaaaaaa', engine: 'scripted', startedAtMs: 0 };

it('a start whose reply was lost is the same attempt when it is sent again', async () => {
  const { admit, consumer, producer, network } = await setUp({ maxAttempts: 2 });
  const { id } = await admit(1);
  const jobs = await consumer.claim(1);
  network.losesReplies = true;
  const [first] = await consumer.start(jobs);
  expect(first!.attempt).toBe(1);
  network.losesReplies = false;
  expect(await consumer.settle([failure(first!)])).toEqual(['retry']);
  network.losesReplies = true;
  const [second] = await consumer.start(jobs);
  expect(second!.attempt).toBe(2);
  expect((await producer.read(id))!.state).toMatchObject({ status: 'PROCESSING', attempts: 2, revision: 3 });
});

it('a prediction tells what ended its last attempt, not an earlier one', async () => {
  const { admit, consumer, addWorker, producer } = await setUp({ visibilityMs: 1, maxAttempts: 2 });
  const { id } = await admit(1);
  const jobs = await consumer.claim(1);
  expect(await consumer.settle((await consumer.start(jobs)).map(failure))).toEqual(['retry']);
  expect(await consumer.start(jobs)).toHaveLength(1);
  const next = await addWorker();
  expect(await next.start(await takeOver(next))).toEqual([]);
  expect((await producer.read(id))!.state).toMatchObject({ status: 'FAILED', errorCode: 'WORKER_LOST' });
});

it('a prediction tells when its last attempt began', async () => {
  const { admit, consumer, producer, redis, keys } = await setUp();
  const { id } = await admit(1);
  const [job] = await consumer.claim(1);
  const [first] = await consumer.start([job!]);
  const readStart = async () => (await producer.read(id))!.state.startedAtMs!;
  const firstStart = await readStart();
  expect(await consumer.settle([failure(first!)])).toEqual(['retry']);
  // As if the first attempt had begun a minute earlier.
  await redis.hset(`${keys.prediction}${id}`, 'startedAtMs', firstStart - 60_000);
  await consumer.start([job!]);
  expect(await readStart()).toBeGreaterThanOrEqual(firstStart);
});

it('jobs of two lanes that came in the same millisecond, and so have the same entry id, are two', async () => {
  const { admit, consumer, producer, redis, model, keys } = await setUp();
  const ids = [(await admit(1, { priority: 'HIGH' })).id, (await admit(2, { priority: 'LOW' })).id];
  for (const [i, lane] of ['HIGH', 'LOW'].entries()) {
    const stream = `${keys.stream}${model.version}:${lane}`;
    const [[entryId, fields]] = (await redis.xrangeBuffer(stream, '-', '+')) as unknown as [[Buffer, Buffer[]]];
    await redis.xdel(stream, entryId);
    await redis.xadd(stream, '9999999999999-0', ...fields);
    await redis.hset(`${keys.job}${ids[i]}`, 'entryId', '9999999999999-0');
  }
  const jobs = await consumer.claim(8);
  expect(jobs.map(({ jobId }) => jobId)).toEqual(ids);
  const [high, low] = await consumer.start(jobs);
  expect(await consumer.settle([success(high!)])).toEqual(['settled']);
  // The other one is still held, so reading again after a lost connection must not find it.
  redis.emit('close');
  expect(await consumer.reclaim(8)).toEqual([]);
  expect(await consumer.settle([success(low!)])).toEqual(['settled']);
  expect((await producer.readMany(ids)).map((one) => one!.state.status)).toEqual(['SUCCEEDED', 'SUCCEEDED']);
});

it('a stalled job is found behind however many whose leases others extend', async () => {
  const { admit, consumer, addWorker } = await setUp({ visibilityMs: 200 });
  for (let i = 0; i < 31; i++) await admit(i);
  const live = await consumer.claim(30);
  const [lost] = await (await addWorker()).claim(1);
  const other = await addWorker();
  await expect
    .poll(
      async () => {
        await consumer.extendLeases(live);
        return (await other.reclaim(1)).map(({ jobId }) => jobId);
      },
      { interval: 20, timeout: 10_000 },
    )
    .toEqual([lost!.jobId]);
});

it('a claim or reclaim that fails in one lane leaves what it had from the others to the next one', async () => {
  const { admit, consumer, redis, keys, model } = await setUp();
  const { id } = await admit(1, { priority: 'HIGH' });
  await redis.call('XGROUP', 'DESTROY', `${keys.stream}${model.version}:LOW`, 'workers');
  await expect(consumer.claim(42)).rejects.toThrow('NOGROUP');
  await expect(consumer.reclaim(8)).rejects.toThrow('NOGROUP');
  await consumer.register({ worker: 'worker1', ...heartbeat });
  expect((await consumer.reclaim(8)).map(({ jobId }) => jobId)).toEqual([id]);
  expect(await consumer.reclaim(8)).toEqual([]);
});

it('a job whose pixels cannot be fetched after a wait is left to the next reclaim', async () => {
  const { admit, consumer, redis, prefix, model } = await setUp();
  await admit(1);
  const { id } = await admit(2);
  let isAway = true;
  const leaving = new Proxy(redis, {
    get(target, name) {
      if (name === 'hgetBuffer' && isAway) return async () => Promise.reject(new Error('Connection is closed.'));
      return Reflect.get(target, name, target);
    },
  });
  const late = new Consumer({ redis: leaving, blockingRedis: connect('blocking'), prefix, model, worker: 'late' });
  // The next one comes from the backlog, without its pixels.
  await consumer.start(await consumer.claim(1));
  await expect(late.waitForJobs()).rejects.toThrow('closed');
  expect(late.held.size).toBe(0);
  isAway = false;
  expect(await late.reclaim(8)).toMatchObject([{ jobId: id, readable: true }]);
});

it('a job that a worker gave up is found again, even by the same worker', async () => {
  const { admit, consumer, redis, keys, model } = await setUp();
  const { id } = await admit(1);
  const jobs = await consumer.claim(1);
  await consumer.start(jobs);
  consumer.release(jobs);
  // Also if the first try fails before it has looked for anything.
  await redis.call('XGROUP', 'DESTROY', `${keys.stream}${model.version}:HIGH`, 'workers');
  await expect(consumer.reclaim(8)).rejects.toThrow('NOGROUP');
  await consumer.register({ worker: 'worker1', ...heartbeat });
  const [again] = await consumer.reclaim(8);
  expect(again).toMatchObject({ jobId: id, redelivered: true });
  expect((await consumer.start([again!]))[0]!.attempt).toBe(2);
});

it('what was redelivered before a late reply brought it is not claimed a second time', async () => {
  const { admit, redis, prefix, model, keys } = await setUp();
  const blocking = connect('blocking');
  let deliver: (() => void) | undefined;
  const late = new Promise<void>((resolve) => {
    deliver = resolve;
  });
  const blockingRedis = new Proxy(blocking, {
    get: (target, name) =>
      name === 'xreadgroupBuffer'
        ? async (...args: Parameters<typeof target.xreadgroupBuffer>) => {
            const reply = await target.xreadgroupBuffer(...args);
            await late;
            return reply;
          }
        : Reflect.get(target, name).bind(target),
  });
  const consumer = new Consumer({ redis, blockingRedis, prefix, model, worker: 'slow' });
  const { id } = await admit(1);
  const waiting = consumer.waitForJobs();
  const stream = `${keys.stream}${model.version}:NORMAL`;
  await expect.poll(async () => (await redis.xpending(stream, 'workers'))[0]).toBe(1);
  blocking.emit('close');
  expect((await consumer.reclaim(8)).map(({ jobId }) => jobId)).toEqual([id]);
  deliver!();
  expect(await waiting).toEqual([]);
});

it('a worker whose streams are gone extends the leases that it can and deregisters without an error', async () => {
  const { admit, consumer, redis } = await setUp();
  await admit(1);
  const jobs = await consumer.claim(1);
  await redis.flushall();
  await consumer.extendLeases(jobs);
  expect(await consumer.start(jobs)).toEqual([]);
  await consumer.deregister();
});

it('a worker whose Redis lost its data registers everything again with its next heartbeat, its class names too', async () => {
  const { redis, prefix, model, registry } = await setUp();
  const labels = ['one', 'two', 'three'];
  const headLabels = { color: ['red', 'blue'] };
  const blockingRedis = connect('blocking');
  const consumer = new Consumer({ redis, blockingRedis, prefix, model, labels, headLabels, worker: 'named' });
  const readAll = async () => [
    (await registry.models()).map(({ name }) => name),
    await registry.readLabels(model.name, model.version),
    await registry.readHeadLabels(model.name, model.version),
  ];
  await consumer.register({ worker: 'named', ...heartbeat });
  const registered = await readAll();
  expect(registered).toEqual([['tiny'], labels, headLabels]);
  await redis.flushall();
  await consumer.register({ worker: 'named', ...heartbeat });
  expect(await readAll()).toEqual(registered);
});

it('consumers that come and go on a connection leave nothing on it', async () => {
  const { redis, prefix, model } = await setUp();
  const blockingRedis = connect('blocking');
  const listeners = () => [redis, blockingRedis].map((connection) => connection.listenerCount('close'));
  const worker = 'worker1';
  const before = listeners();
  for (let i = 0; i < 20; i++) new Consumer({ redis, blockingRedis, prefix, model, worker });
  expect(listeners().every((count, i) => count <= before[i]! + 1)).toBe(true);
});
