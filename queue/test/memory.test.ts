import { expect, it } from 'vitest';
import { Consumer } from '../jobs/consumer.ts';
import { connect, leftovers, setUp, success } from './queue.fixture.ts';

it('a full Redis is drained by a worker that starts only then, and every step except admission passes', async () => {
  const { admit, consumer, producer, redis, prefix, model, status } = await setUp({ visibilityMs: 0 });
  const ids: string[] = [];
  for (let pixel = 0; pixel < 5; pixel++) ids.push((await admit(pixel)).id);
  await consumer.claim(1);
  const heartbeat = { version: model.version, engine: 'scripted', startedAtMs: 0 };
  await redis.config('SET', 'maxmemory', '1');
  try {
    await consumer.register({ worker: 'worker1', ...heartbeat });
    const blockingRedis = connect('blocking');
    // Class names are refused, which does not keep the worker from its work.
    const late = new Consumer({ redis, blockingRedis, prefix, model, labels: ['one'], worker: 'late' });
    await late.register({ worker: 'late', ...heartbeat });
    await producer.cancel(ids[4]!);
    const jobs = [...(await late.waitForJobs()), ...(await late.claim(8)), ...(await late.reclaim(8))];
    await late.extendLeases(jobs);
    const settled = await late.settle((await late.start(jobs)).map(success));
    expect(settled).toEqual(['settled', 'settled', 'settled', 'settled']);
    expect(await producer.expireDue(model.name)).toBe(0);
    expect(await late.migrateRetired()).toBe(0);
    await late.withdraw();
    await late.deregister();
    expect(await Promise.all(ids.map(status))).toEqual([...Array(4).fill('SUCCEEDED'), 'CANCELED']);
    expect(await leftovers(redis, prefix)).toEqual([]);
  } finally {
    await redis.config('SET', 'maxmemory', '0');
  }
});
