import { describe, expect, it } from 'vitest';
import { EventChannel } from '../predictions/event-channel.ts';
import { by, countBy, evenness, flood, serve } from './fairness.fixture.ts';
import { connect, failure, setUp, success } from './queue.fixture.ts';

describe('shares', () => {
  it('a tenant that comes while another floods the queue is in the very next batch', async () => {
    const queue = await setUp({ maxQueueSize: 1_000 });
    await flood(queue, by('flood'), 500);
    await serve(queue, 16);
    for (let i = 0; i < 5; i++) {
      const [id] = await flood(queue, by('single'), 1);
      expect((await queue.producer.read(id!))!.position).toBeLessThanOrEqual(3);
      expect(await serve(queue, 8)).toContain('single');
    }
  });

  it('of 8 equal tenants with a backlog are equal, whatever their backlogs', async () => {
    const queue = await setUp({ maxQueueSize: 1_000 });
    for (let i = 0; i < 8; i++) await flood(queue, by(`tenant${i}`), 20 + 10 * i);
    const counts = countBy(await serve(queue, 120));
    expect(evenness(Object.values(counts))).toBeGreaterThan(0.99);
    expect(Object.values(counts)).toHaveLength(8);
  });

  it('are weighted', async () => {
    const queue = await setUp({ maxQueueSize: 1_000 });
    await flood(queue, by('one', 1), 150);
    await flood(queue, by('two', 2), 150);
    await flood(queue, by('four', 4), 150);
    // Before the others came, the first tenant was alone; from then on the shares follow the weights.
    const { one, two, four } = countBy(await serve(queue, 210)) as { one: number; two: number; four: number };
    for (const [count, part] of [
      [one, 30],
      [two, 60],
      [four, 120],
    ] as const) {
      expect(Math.abs(count - part) / part).toBeLessThan(0.035);
    }
  });

  it('of a tenant do not grow if it uses many keys', async () => {
    const queue = await setUp({ maxQueueSize: 1_000 });
    for (let i = 0; i < 100; i++) await flood(queue, { ...by('many'), keyId: `key${i}` }, 1);
    await flood(queue, by('one'), 100);
    const counts = countBy(await serve(queue, 100));
    expect(Math.abs(counts.many! - counts.one!)).toBeLessThanOrEqual(2);
  });

  it('are of the work, not of the images: a tenant whose images take three times as long gets a third as many', async () => {
    const queue = await setUp({ maxQueueSize: 1_000 });
    await flood(queue, by('light'), 200);
    await flood(queue, by('heavy'), 200);
    const counts = countBy(await serve(queue, 200, 4, (tenant) => (tenant === 'heavy' ? 15 : 5)));
    expect(counts.light! / counts.heavy!).toBeGreaterThan(2.8);
    expect(counts.light! / counts.heavy!).toBeLessThan(3.2);
  });

  it('of an idle tenant are not saved up', async () => {
    const queue = await setUp({ maxQueueSize: 1_000 });
    await flood(queue, by('busy'), 300);
    await serve(queue, 150);
    await flood(queue, by('late'), 100);
    const counts = countBy(await serve(queue, 80));
    expect(Math.abs(counts.busy! - counts.late!)).toBeLessThanOrEqual(2);
  });

  it('are not charged for what was canceled before it began', async () => {
    const queue = await setUp({ maxQueueSize: 1_000 });
    await flood(queue, by('steady'), 100);
    const canceled = await flood(queue, by('fickle'), 50);
    await flood(queue, by('fickle'), 50);
    for (const id of canceled) await queue.producer.cancel(id);
    const counts = countBy(await serve(queue, 60));
    expect(Math.abs(counts.steady! - counts.fickle!)).toBeLessThanOrEqual(2);
  });

  it('are charged for every attempt, so that images that fail cost their tenant and not the others', async () => {
    const queue = await setUp({ maxQueueSize: 1_000, maxAttempts: 3 });
    await flood(queue, by('sound'), 100);
    await flood(queue, by('poison'), 100);
    const ended: string[] = [];
    while (ended.length < 60) {
      let started = await queue.consumer.start(await queue.consumer.claim(4));
      ended.push(...started.map(({ job }) => job.tenant));
      await queue.consumer.settle(started.filter(({ job }) => job.tenant === 'sound').map(success));
      started = started.filter(({ job }) => job.tenant === 'poison');
      for (let attempt = 1; attempt <= 3; attempt++) {
        await queue.consumer.settle(started.map(failure));
        started = await queue.consumer.start(started.map(({ job }) => job));
      }
    }
    const counts = countBy(ended);
    expect(counts.sound! / counts.poison!).toBeGreaterThan(2.5);
  });

  it('hold within each priority, and priorities keep theirs', async () => {
    const queue = await setUp({ maxQueueSize: 1_000 });
    await flood(queue, by('a'), 100, 'HIGH');
    await flood(queue, by('a'), 100, 'LOW');
    await flood(queue, by('b'), 20, 'LOW');
    const jobs = await queue.consumer.claim(63);
    const low = jobs.filter(({ stream }) => stream.endsWith('LOW')).map(({ tenant }) => tenant);
    expect(jobs.filter(({ stream }) => stream.endsWith('HIGH')).length).toBeGreaterThanOrEqual(48);
    expect(countBy(low).b! - countBy(low).a!).toBeLessThanOrEqual(2);
    expect(low.length).toBeGreaterThanOrEqual(3);
  });

  it('can be switched off: first come, first served', async () => {
    const queue = await setUp({ fairShares: false });
    await flood(queue, by('first'), 20);
    await flood(queue, by('second'), 20);
    expect(new Set(await serve(queue, 20))).toEqual(new Set(['first']));
    expect(await queue.redis.keys(`${queue.keys.fair}*`)).toEqual([]);
  });
});

it('the time of an image is its part of its batch’s, averaged over many', async () => {
  const { admit, consumer, redis, keys } = await setUp();
  for (const [pixel, batchSize, inferenceMs, averageUs] of [
    [1, 4, 20, 5_000],
    [2, 1, 25, 7_000],
  ] as const) {
    await admit(pixel);
    const started = await consumer.start(await consumer.claim(1));
    await consumer.settle(started.map((one) => ({ ...success(one), batchSize, inferenceMs })));
    expect(Number(await redis.hget(keys.counters, 'imageUs'))).toBe(averageUs);
  }
});

describe('positions', () => {
  it('are the order in which predictions start', async () => {
    const queue = await setUp({ maxQueueSize: 1_000 });
    await flood(queue, by('a', 1), 30);
    await serve(queue, 5);
    const ids = [
      ...(await flood(queue, by('b', 2), 11)),
      ...(await flood(queue, by('c', 0.5), 13)),
      ...(await flood(queue, by('a', 1), 9)),
    ];
    const places = (await queue.producer.readMany(ids)).map((one) => one!.position!);
    const order = ids.map((id, i) => ({ id, place: places[i]! })).sort((x, y) => x.place - y.place);
    const started: string[] = [];
    // Claimed one by one and not settled, so that no measured time changes what is left.
    for (let i = 0; i < 58; i++) {
      const [one] = await queue.consumer.start(await queue.consumer.claim(1));
      started.push(one!.job.jobId);
    }
    expect(started.filter((id) => ids.includes(id))).toEqual(order.map(({ id }) => id));
    for (const { id, place } of order) expect(started.indexOf(id)).toBe(place - 1);
  });

  it('are reported when another tenant’s image goes before them', async () => {
    const queue = await setUp();
    const heard: string[] = [];
    const channel = new EventChannel(
      { subscriber: connect('subscriber'), redis: queue.redis, prefix: queue.prefix },
      { onState: (id) => heard.push(id), onGap: () => undefined, onModelsChanged: () => undefined },
    );
    await channel.subscribe('tiny');
    await flood(queue, by('a'), 5);
    const [id] = await flood(queue, by('b'), 1);
    await expect.poll(() => heard).toEqual([id]);
    channel.close();
  });

  it('change while others come and go', async () => {
    const queue = await setUp();
    const place = async (id: string) => (await queue.producer.read(id))!.position;
    const a = await flood(queue, by('a'), 10);
    expect(await place(a[9]!)).toBe(10);
    const b = await flood(queue, by('b'), 3);
    expect(await place(a[9]!)).toBe(13);
    expect(await place(b[0]!)).toBeLessThanOrEqual(3);
    await queue.producer.cancel(b[0]!);
    expect(await place(a[9]!)).toBe(12);
    await queue.producer.cancel(a[1]!);
    expect(await place(a[9]!)).toBe(11);
  });
});
