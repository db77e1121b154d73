/** Models that come and go: which are offered, which is the default, and what forgetting one leaves behind. */
import { expect, test } from 'vitest';
import { PRIORITIES } from '../contract.ts';
import { Consumer } from '../jobs/consumer.ts';
import { modelKeys, registryKeys, streamKey } from '../redis/keys.ts';
import { connect, setUp, success } from '../test/queue.fixture.ts';
import { FORGET_AFTER_MS, Registry } from './registry.ts';

async function setUpRegistry(queue: Parameters<typeof setUp>[0] = {}) {
  const bed = await setUp(queue);
  const registry = new Registry(bed.redis, { prefix: bed.prefix });
  const { counters } = modelKeys(bed.prefix, bed.model.name);
  return {
    ...bed,
    registry,
    /** As if the last worker had been gone for this long. */
    async age(idleMs: number) {
      const [seconds] = await bed.redis.time();
      await bed.redis.hset(counters, 'aliveUntilMs', Number(seconds) * 1000 - idleMs);
    },
  };
}

test('a model is offered while a worker serves it and for its grace period after that', async () => {
  const { registry, consumer, age } = await setUpRegistry({ graceMs: 60_000 });
  expect(await registry.knownModels()).toMatchObject([{ model: { name: 'tiny' }, idleMs: 0, isOffered: true }]);
  await consumer.deregister();
  // A second is rounded off, and the test takes its time.
  await age(50_000);
  expect(await registry.knownModels()).toMatchObject([{ isOffered: true }]);
  await age(62_000);
  expect(await registry.knownModels()).toMatchObject([{ isOffered: false }]);
});

test('a model that is served is not forgotten, nor one with open predictions or dead letters', async () => {
  const { registry, consumer, admit, producer, age, redis, prefix } = await setUpRegistry();
  expect(await registry.forget('tiny')).toEqual({ kind: 'served' });
  const { id } = await admit(1);
  await consumer.deregister();
  expect(await registry.forget('tiny')).toEqual({ kind: 'open', count: 1 });
  await producer.cancel(id);
  await redis.xadd(modelKeys(prefix, 'tiny').dead, '*', 'state', 'x');
  expect(await registry.forget('tiny')).toEqual({ kind: 'deadLetters', count: 1 });
  expect(await registry.forget('tiny', { idleMs: FORGET_AFTER_MS, withDeadLetters: true })).toEqual({ kind: 'served' });
  await age(FORGET_AFTER_MS + 1_000);
  expect(await registry.forget('tiny', { idleMs: FORGET_AFTER_MS, withDeadLetters: true })).toEqual({
    kind: 'forgotten',
  });
  expect(await registry.forget('tiny')).toEqual({ kind: 'unknown' });
  expect(await registry.forget('../tiny')).toEqual({ kind: 'unknown' });
});

test('forgetting leaves nothing of the model except ended predictions, which expire in time', async () => {
  const { registry, consumer, admit, producer, redis, prefix, status, model } = await setUpRegistry();
  const labels = { labels: ['one'], headLabels: { kind: ['two'] } };
  const blockingRedis = connect('blocking');
  const other = new Consumer({ redis, blockingRedis, prefix, model, worker: 'labels', ...labels });
  await other.register({ worker: 'labels', version: model.version, engine: 'scripted', startedAtMs: 0 });
  expect(await registry.readHeadLabels('tiny', model.version)).toEqual(labels.headLabels);
  await other.deregister();
  const { id } = await admit(1);
  await producer.cancel(id);
  // Its tenant then has a tag in virtual time, which would be a debt once that time begins again.
  const { id: servedId } = await admit(2);
  await consumer.settle((await consumer.start(await consumer.claim(1))).map(success));
  expect(await status(servedId)).toBe('SUCCEEDED');
  await consumer.deregister();
  expect(await registry.forget('tiny')).toEqual({ kind: 'forgotten' });
  expect(await status(id)).toBe('CANCELED');
  const keys = await redis.keys(`${prefix}:*`);
  expect(keys.filter((key) => !key.includes(':prediction:'))).toEqual([]);
  for (const key of keys) expect(await redis.pttl(key)).toBeGreaterThan(0);
  expect(await registry.knownModels()).toEqual([]);
});

test('a model that was idle for a day is forgotten automatically, and returns when it is served again', async () => {
  const { registry, consumer, addWorker, age } = await setUpRegistry();
  await consumer.deregister();
  await age(FORGET_AFTER_MS - 10_000);
  expect(await registry.forgetIdle()).toEqual([]);
  await age(FORGET_AFTER_MS + 10_000);
  expect(await registry.forgetIdle()).toEqual(['tiny']);
  await addWorker();
  expect(await registry.knownModels()).toMatchObject([{ model: { name: 'tiny' }, isOffered: true }]);
});

test('servers hear of another default model once', async () => {
  const { registry, prefix } = await setUpRegistry();
  expect(await registry.defaultModel()).toBeNull();
  const subscriber = connect('subscriber');
  const heard: string[] = [];
  await subscriber.subscribe(registryKeys(prefix).changed);
  const second = new Promise<void>((resolve) => {
    subscriber.on('message', (_channel, name) => {
      heard.push(name);
      if (name === 'other') resolve();
    });
  });
  await registry.setDefaultModel('tiny');
  await registry.setDefaultModel('tiny');
  await registry.setDefaultModel('other');
  await second;
  expect(heard).toEqual(['tiny', 'other']);
  expect(await registry.defaultModel()).toBe('other');
});

test('servers hear of every model that is registered, replaced, withdrawn, forgotten or loses a worker', async () => {
  const { registry, redis, prefix, model, consumer, addWorker } = await setUpRegistry();
  const subscriber = connect('subscriber');
  const heard: string[] = [];
  subscriber.on('message', (_channel, message: string) => heard.push(message));
  await subscriber.subscribe(registryKeys(prefix).changed);
  /** How many messages a step publishes: those of one connection arrive in order. */
  async function countMessages(step: () => Promise<unknown>): Promise<number> {
    heard.length = 0;
    await step();
    await redis.publish(registryKeys(prefix).changed, 'last');
    await expect.poll(() => heard.includes('last')).toBe(true);
    return heard.filter((name) => name === model.name).length;
  }
  const heartbeat = { worker: 'worker1', version: model.version, engine: 'scripted', startedAtMs: 0 };
  let second = consumer;
  expect(await countMessages(async () => (second = await addWorker()))).toBe(1);
  expect(await countMessages(() => consumer.register(heartbeat))).toBe(0);
  expect(await countMessages(() => second.deregister())).toBe(1);
  const version = 'bbbbbbbbbbbb';
  const next = { ...model, version };
  const newer = new Consumer({ redis, blockingRedis: connect('blocking'), prefix, model: next, worker: 'newer' });
  const visit = async () => {
    await newer.register({ ...heartbeat, worker: 'newer', version });
    await newer.deregister();
  };
  expect(await countMessages(visit)).toBe(2);
  // The older version is current again.
  expect(await countMessages(() => consumer.register(heartbeat))).toBe(1);
  expect(await countMessages(() => consumer.withdraw())).toBe(1);
  expect(await countMessages(() => consumer.deregister())).toBe(1);
  expect(await countMessages(() => registry.forget(model.name))).toBe(1);
});

test('the withdrawal of a version that was replaced leaves the current one', async () => {
  const { registry, redis, prefix, model, consumer } = await setUpRegistry();
  const version = 'bbbbbbbbbbbb';
  const blockingRedis = connect('blocking');
  const newer = new Consumer({ redis, blockingRedis, prefix, model: { ...model, version }, worker: 'newer' });
  await newer.register({ worker: 'newer', version, engine: 'scripted', startedAtMs: 0 });
  expect(await consumer.withdraw()).toBe(true);
  expect(await registry.models()).toMatchObject([{ version }]);
});

test('nothing is kept of a worker that is gone, except what it holds', async () => {
  const { registry, redis, prefix, model, consumer } = await setUpRegistry();
  const keys = modelKeys(prefix, model.name);
  const blockingRedis = connect('blocking');
  const gone = new Consumer({ redis, blockingRedis, prefix, model, worker: 'gone', lifetimeMs: 1 });
  const record = { version: model.version, engine: 'scripted', startedAtMs: 0 };
  await gone.register({ worker: 'gone', ...record });
  await redis.xgroup('CREATECONSUMER', streamKey(keys, model.version, 'NORMAL'), 'workers', 'gone');
  await expect
    .poll(async () => (await registry.queueState('tiny'))!.workers.map(({ worker }) => worker))
    .toEqual(['worker1']);
  await consumer.register({ worker: 'worker1', ...record });
  expect(await redis.hkeys(keys.workers)).toEqual(['worker1']);
  const groups = await Promise.all(
    PRIORITIES.map((lane) => redis.call('XINFO', 'CONSUMERS', streamKey(keys, model.version, lane), 'workers')),
  );
  expect(JSON.stringify(groups)).not.toContain('gone');
});
