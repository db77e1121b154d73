import { describe, expect, it } from 'vitest';
import { modelKeys } from '../redis/keys.ts';
import { connect, setUp, success } from '../test/queue.fixture.ts';
import { EventChannel } from './event-channel.ts';

describe('the channel', () => {
  async function listen(prefix: string, ...models: string[]) {
    const heard: { id: string; revision: number; status: string }[] = [];
    const gaps: string[] = [];
    const changes: (string | undefined)[] = [];
    const subscriber = connect('subscriber');
    const channel = new EventChannel(
      { subscriber, redis: connect('work'), prefix },
      {
        onState(id, parse) {
          const { revision, status } = parse();
          heard.push({ id, revision, status });
        },
        onGap: (model) => gaps.push(model),
        onModelsChanged: () => changes.push('models'),
        onKeyChanged: (id) => changes.push(id ?? 'keys'),
      },
    );
    for (const model of models.length > 0 ? models : ['tiny']) await channel.subscribe(model);
    await expect.poll(() => channel.ready()).toBe(true);
    return { channel, heard, gaps, changes, subscriber };
  }

  it('reports every change in order', async () => {
    const { prefix, admit, consumer } = await setUp();
    const { heard } = await listen(prefix);
    const { id } = await admit(1);
    const [started] = await consumer.start(await consumer.claim(8));
    await consumer.settle([success(started!)]);
    await expect
      .poll(() => heard)
      .toEqual([
        { id, revision: 2, status: 'PROCESSING' },
        { id, revision: 3, status: 'SUCCEEDED' },
      ]);
  });

  it('notices a lost message by the next one, and a lost last one by its audit', async () => {
    const { prefix, admit, producer, redis, keys } = await setUp();
    const { channel, gaps, heard } = await listen(prefix);
    const ids = [await admit(1), await admit(2)].map(({ id }) => id);
    await producer.cancel(ids[0]!);
    await expect.poll(() => heard.length).toBe(1);
    await channel.audit();
    const before = gaps.length;
    await redis.hincrby(keys.counters, 'sequence', 1);
    await producer.cancel(ids[1]!);
    await expect.poll(() => gaps.length).toBe(before + 1);
    await redis.hincrby(keys.counters, 'sequence', 1);
    await channel.audit();
    expect(gaps.length).toBe(before + 2);
  });

  it('reconnects after its connection was cut, and reports that messages may have been missed', async () => {
    const { prefix, admit, producer, redis } = await setUp();
    const { channel, gaps, heard, changes } = await listen(prefix);
    const before = gaps.length;
    changes.length = 0;
    await redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await expect.poll(() => gaps.length).toBeGreaterThan(before);
    expect(channel.ready()).toBe(true);
    expect(changes).toEqual(['models', 'keys']);
    await producer.cancel((await admit(1)).id);
    await expect.poll(() => heard.length).toBe(1);
  });

  it('notices by the first message on a new connection what was lost before it', async () => {
    const { prefix, admit, producer, redis, keys } = await setUp();
    const { gaps, heard, subscriber } = await listen(prefix);
    const ids = [await admit(1), await admit(2)].map(({ id }) => id);
    const beforeCut = gaps.length;
    subscriber.disconnect(true);
    await expect.poll(() => gaps.length).toBeGreaterThan(beforeCut);
    const before = gaps.length;
    await redis.hincrby(keys.counters, 'sequence', 1);
    await producer.cancel(ids[0]!);
    await expect.poll(() => gaps.length).toBe(before + 1);
    await producer.cancel(ids[1]!);
    await expect.poll(() => heard.length).toBe(2);
    expect(gaps.length).toBe(before + 1);
  });

  it('replaces a connection on which two audits in a row miss messages', async () => {
    const { prefix, admit, producer, redis, keys } = await setUp();
    const { channel, heard, subscriber } = await listen(prefix);
    const loseOne = async () => {
      await redis.hincrby(keys.counters, 'sequence', 1);
      await channel.audit();
    };
    let closed = 0;
    subscriber.on('close', () => closed++);
    await channel.audit();
    for (const pixel of [1, 2]) {
      await loseOne();
      await producer.cancel((await admit(pixel)).id);
      await expect.poll(() => heard.length).toBe(pixel);
    }
    expect(closed).toBe(0);
    await loseOne();
    await loseOne();
    await expect.poll(() => closed).toBe(1);
    await expect.poll(() => channel.ready()).toBe(true);
  });

  it('audits all models, even if the counters of one hold something else', async () => {
    const { prefix, redis, keys } = await setUp();
    const { channel, gaps } = await listen(prefix, 'broken', 'tiny');
    await redis.set(modelKeys(prefix, 'broken').counters, 'x');
    await channel.audit();
    // Nothing is known of what was published before.
    expect(gaps).toContain('tiny');
    gaps.length = 0;
    await redis.hincrby(keys.counters, 'sequence', 1);
    await channel.audit();
    await channel.audit();
    expect(gaps).toEqual(['tiny']);
  });
});
