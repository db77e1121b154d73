import { describe, expect, it } from 'vitest';
import { failure, setUp } from '../test/queue.fixture.ts';
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
