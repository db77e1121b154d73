import { describe, expect, it } from 'vitest';
import { connect, setUp, success } from '../test/queue.fixture.ts';
import { EventChannel } from './event-channel.ts';

describe('the channel', () => {
  async function listen(prefix: string) {
    const heard: { id: string; revision: number; status: string }[] = [];
    const gaps: string[] = [];
    const subscriber = connect('subscriber');
    const channel = new EventChannel(
      { subscriber, redis: connect('work'), prefix },
      {
        onState(id, parse) {
          const { revision, status } = parse();
          heard.push({ id, revision, status });
        },
        onGap: (model) => gaps.push(model),
        onModelsChanged: () => undefined,
      },
    );
    await channel.subscribe('tiny');
    await expect.poll(() => channel.ready()).toBe(true);
    return { channel, heard, gaps, subscriber };
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
    const { channel, gaps, heard } = await listen(prefix);
    const before = gaps.length;
    await redis.call('CLIENT', 'KILL', 'TYPE', 'pubsub');
    await expect.poll(() => gaps.length).toBeGreaterThan(before);
    expect(channel.ready()).toBe(true);
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
});
