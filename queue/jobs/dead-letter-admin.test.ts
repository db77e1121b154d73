import { describe, expect, it } from 'vitest';
import { connect, failure, setUp } from '../test/queue.fixture.ts';
import { Consumer } from './consumer.ts';
import { createDeadLetters } from './dead-letter-admin.ts';

describe('dead letters', () => {
  it('are listed, retried as a new prediction that names the old one, and dropped', async () => {
    const { admit, consumer, redis, prefix, keys } = await setUp({ maxAttempts: 1 });
    const dead = createDeadLetters(redis, { prefix });
    const ids = [(await admit(1)).id, (await admit(2)).id];
    const started = await consumer.start(await consumer.claim(8));
    await consumer.settle(started.map(failure));
    const letters = await dead.list('tiny');
    expect(letters).toMatchObject([
      { predictions: [ids[0]], errorCode: 'MODEL_FAILED', attempts: 1, imageBytes: 12 },
      { predictions: [ids[1]] },
    ]);
    const [first, second] = letters.map(({ entryId }) => entryId);
    expect(await dead.list('tiny', { after: first! })).toHaveLength(1);
    const outcome = await dead.retry('tiny', first!);
    expect(outcome).toMatchObject({ kind: 'admitted', state: { status: 'QUEUED', retryOf: ids[0] } });
    expect((await consumer.claim(8))[0]!.image).toEqual(Buffer.alloc(12, 1));
    await expect(dead.retry('tiny', first!)).rejects.toMatchObject({ code: 'NOT_FOUND' });
    expect(await dead.drop('tiny', [first!, second!])).toBe(1);
    expect(await redis.hget(keys.counters, 'deadBytes')).toBe('0');
  });

  it('that two operators retry at once have one new prediction', async () => {
    const { admit, consumer, redis, prefix } = await setUp({ maxAttempts: 1 });
    const dead = createDeadLetters(redis, { prefix });
    await admit(1);
    await consumer.settle((await consumer.start(await consumer.claim(1))).map(failure));
    const [letter] = await dead.list('tiny');
    const [first, second] = await Promise.all([1, 2].map(() => dead.retry('tiny', letter!.entryId)));
    expect([first!.kind, second!.kind]).toEqual(['admitted', 'admitted']);
    const ids = [first, second].map((outcome) => outcome?.kind === 'admitted' && outcome.state.id);
    expect(ids[1]).toBe(ids[0]);
    expect(await consumer.claim(8)).toHaveLength(1);
  });

  it('stay, with their images, if a retry is refused', async () => {
    const { admit, consumer, redis, prefix, model } = await setUp({ maxAttempts: 1, maxQueueSize: 1 });
    const dead = createDeadLetters(redis, { prefix });
    await admit(1);
    await consumer.settle((await consumer.start(await consumer.claim(1))).map(failure));
    const [letter] = await dead.list('tiny');
    await admit(2);
    expect(await dead.retry('tiny', letter!.entryId)).toMatchObject({ kind: 'queueFull' });
    expect(await dead.list('tiny')).toEqual([letter]);

    const next = { ...model, version: '222222222222' };
    const newer = new Consumer({ redis, blockingRedis: connect('blocking'), prefix, model: next, worker: 'newer' });
    await newer.register({ worker: 'newer', version: '222222222222', engine: 'scripted', startedAtMs: 0 });
    await expect(dead.retry('tiny', letter!.entryId)).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      message: expect.stringContaining('version 222222222222 is now served'),
    });
    expect(await dead.list('tiny')).toEqual([letter]);
  });

  it('are bounded by their total size, however small their images, and by their age', async () => {
    const { admit, consumer, redis, prefix, keys, model } = await setUp({ maxAttempts: 1 });
    const dead = createDeadLetters(redis, { prefix });
    const fail = async (pixel: number) => {
      await admit(pixel);
      await consumer.settle((await consumer.start(await consumer.claim(1))).map(failure));
    };
    await fail(1);
    const bytes = Number(await redis.hget(keys.counters, 'deadBytes'));
    expect(bytes).toBeGreaterThan(100);
    const weekMs = 7 * 86_400_000;
    await redis.hset(keys.counters, 'deadBytes', 64 * 1024 * 1024);
    await fail(2);
    expect(await dead.list('tiny')).toMatchObject([{ imageBytes: 12 }]);
    expect(await redis.hget(keys.counters, 'deadBytes')).toBe(String(64 * 1024 * 1024));

    await redis.del(keys.dead);
    await redis.xadd(keys.dead, `${Date.now() - weekMs - 1_000}-0`, 'image', '');
    await consumer.register({ worker: 'worker1', version: model.version, engine: 'scripted', startedAtMs: 0 });
    expect(await dead.list('tiny')).toEqual([]);
  });

  it('of another release are listed with the others, cannot be retried, and can be dropped', async () => {
    const { admit, consumer, redis, prefix, keys } = await setUp({ maxAttempts: 1 });
    const dead = createDeadLetters(redis, { prefix });
    const { id } = await admit(1);
    await consumer.settle((await consumer.start(await consumer.claim(1))).map(failure));
    const [, fields] = (await redis.xrangeBuffer(keys.dead, '-', '+'))[0]!;
    const foreign = (await redis.xadd(
      keys.dead,
      '*',
      ...fields.map((field) => (field.toString() === 'MODEL_FAILED' ? 'MODEL_TIRED' : field)),
    ))!;
    const damaged = (await redis.xadd(keys.dead, '*', 'noise', '\u0000'))!;
    expect(await dead.list('tiny')).toMatchObject([
      { predictions: [id], errorCode: 'MODEL_FAILED' },
      { entryId: foreign, imageBytes: 12, unreadable: expect.stringContaining('errorCode') },
      { entryId: damaged, imageBytes: 0, unreadable: expect.stringContaining('predictions') },
    ]);
    await expect(dead.retry('tiny', foreign)).rejects.toMatchObject({ code: 'INVALID_INPUT' });
    expect(await dead.drop('tiny', [foreign, damaged])).toBe(2);
    expect(await dead.list('tiny')).toHaveLength(1);
  });
});
