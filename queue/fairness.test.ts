import { describe, expect, it } from 'vitest';
import { createConsumer, type Outcome } from './consumer.ts';
import type { Caller, Priority } from './contract.ts';
import { connect, failure, leftovers, setUp, success } from './queue.fixture.ts';

type Queue = Awaited<ReturnType<typeof setUp>>;

const by = (tenant: string, weight = 1): Caller => ({ tenant, keyId: undefined, weight });

/** Queues so many different images; their ids. */
async function flood(
  { admit }: Queue,
  caller: Caller,
  count: number,
  priority: Priority = 'NORMAL',
): Promise<string[]> {
  const ids: string[] = [];
  for (let i = 0; i < count; i++) ids.push((await admit(i % 250, { caller, priority, share: false })).id);
  return ids;
}

/** Serves batches of `size` until `count` jobs are done; whose they were, in order. @param imageMs what a tenant's image takes */
async function serve(
  { consumer }: Queue,
  count: number,
  size = 8,
  imageMs = (_tenant: string) => 5,
): Promise<string[]> {
  const served: string[] = [];
  while (served.length < count) {
    const started = await consumer.start(await consumer.claim(Math.min(size, count - served.length)));
    const outcomes = started.map(
      (one): Outcome => ({ ...success(one), inferenceMs: imageMs(one.job.tenant) }) as Outcome,
    );
    await consumer.settle(outcomes);
    served.push(...started.map(({ job }) => job.tenant));
  }
  return served;
}

function countBy(names: string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1;
  return counts;
}

/** Jain's index: 1 is perfectly even. */
function evenness(shares: number[]): number {
  const sum = shares.reduce((total, one) => total + one, 0);
  return sum ** 2 / (shares.length * shares.reduce((total, one) => total + one ** 2, 0));
}

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

  it('8 equal tenants with a backlog get equal parts, whatever their backlogs', async () => {
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
    // What came before the others did was alone; from then on the parts are as the weights.
    const { one, two, four } = countBy(await serve(queue, 210)) as { one: number; two: number; four: number };
    for (const [count, part] of [
      [one, 30],
      [two, 60],
      [four, 120],
    ] as const) {
      expect(Math.abs(count - part) / part).toBeLessThan(0.035);
    }
  });

  it('a tenant that spreads over many keys wins nothing', async () => {
    const queue = await setUp({ maxQueueSize: 1_000 });
    for (let i = 0; i < 100; i++) await flood(queue, { ...by('many'), keyId: `key${i}` }, 1);
    await flood(queue, by('one'), 100);
    const counts = countBy(await serve(queue, 100));
    expect(Math.abs(counts.many! - counts.one!)).toBeLessThanOrEqual(2);
  });

  it('are of the work and not of the images: whose images take three times as long gets a third as many', async () => {
    const queue = await setUp({ maxQueueSize: 1_000 });
    await flood(queue, by('light'), 200);
    await flood(queue, by('heavy'), 200);
    const counts = countBy(await serve(queue, 200, 4, (tenant) => (tenant === 'heavy' ? 15 : 5)));
    expect(counts.light! / counts.heavy!).toBeGreaterThan(2.8);
    expect(counts.light! / counts.heavy!).toBeLessThan(3.2);
  });

  it('a tenant that was idle has saved up nothing', async () => {
    const queue = await setUp({ maxQueueSize: 1_000 });
    await flood(queue, by('busy'), 300);
    await serve(queue, 150);
    await flood(queue, by('late'), 100);
    const counts = countBy(await serve(queue, 80));
    expect(Math.abs(counts.busy! - counts.late!)).toBeLessThanOrEqual(2);
  });

  it('what was canceled before it began is not charged', async () => {
    const queue = await setUp({ maxQueueSize: 1_000 });
    await flood(queue, by('steady'), 100);
    const canceled = await flood(queue, by('fickle'), 50);
    await flood(queue, by('fickle'), 50);
    for (const id of canceled) await queue.producer.cancel(id);
    const counts = countBy(await serve(queue, 60));
    expect(Math.abs(counts.steady! - counts.fickle!)).toBeLessThanOrEqual(2);
  });

  it('every attempt is charged, so that images that fail cost their tenant and not the others', async () => {
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

  it('move while others come and go', async () => {
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

describe('the bounded part of a tenant', () => {
  it('leaves room for whoever comes, however many come', async () => {
    const { producer, request, status } = await setUp({ maxQueueSize: 100 });
    const tryToHold = async (tenant: string, count: number) => {
      let admitted = 0;
      for (let i = 0; i < count; i++) {
        const sent = request(i, { caller: by(tenant), share: false, tenantShare: 0.8 });
        if ((await producer.admit(sent)).kind === 'admitted') admitted += 1;
      }
      return admitted;
    };
    expect(await tryToHold('flood', 150)).toBe(80);
    expect(await tryToHold('second', 150)).toBe(16);
    expect(await tryToHold('third', 5)).toBeGreaterThanOrEqual(1);
    const refused = request(1, { caller: by('flood'), share: false, tenantShare: 0.8 });
    expect(await producer.admit(refused)).toMatchObject({ kind: 'queueFull' });
    expect(await status(refused.id)).toBeUndefined();
  });

  it('bounds bytes, too, and is all of the queue where the share is 1', async () => {
    const { producer, request } = await setUp({ maxQueueSize: 100, maxQueuedBytes: 120 });
    const kinds: string[] = [];
    const send = async (tenantShare: number) =>
      (await producer.admit(request(1, { caller: by('a'), share: false, tenantShare }))).kind;
    for (let i = 0; i < 10; i++) kinds.push(await send(0.5));
    expect(kinds.filter((kind) => kind === 'admitted')).toHaveLength(5);
    for (let i = 0; i < 6; i++) kinds.push(await send(1));
    expect(kinds.filter((kind) => kind === 'admitted')).toHaveLength(10);
  });
});

describe('what waits in a backlog', () => {
  it('keeps its pixels, is taken by a worker that waits, and leaves nothing behind', async () => {
    const queue = await setUp();
    const ids = await flood(queue, by('a'), 20);
    await flood(queue, by('b'), 5);
    const pixels = new Map<string, number>();
    while (pixels.size < 25) {
      const jobs = [...(await queue.consumer.waitForJobs()), ...(await queue.consumer.claim(3))];
      for (const job of jobs) {
        expect([job.readable, job.image.length, new Set(job.image).size]).toEqual([true, 12, 1]);
        pixels.set(job.jobId, job.image[0]!);
      }
      await queue.consumer.settle((await queue.consumer.start(jobs)).map(success));
    }
    expect(ids.map((id) => pixels.get(id))).toEqual(ids.map((_, i) => i));
    expect(await leftovers(queue.redis, queue.prefix)).toEqual([]);
  });

  it('wakes a blocked worker when another one took what was in the stream', async () => {
    const queue = await setUp();
    const other = await queue.addWorker();
    await flood(queue, by('a'), 3);
    const taken = await queue.consumer.waitForJobs();
    expect(taken).toHaveLength(1);
    const waiting = other.waitForJobs();
    await queue.consumer.start(taken);
    expect(await waiting).toHaveLength(1);
  });

  it('is found though the worker that took what was in the stream is lost', async () => {
    const queue = await setUp();
    const ids = await flood(queue, by('a'), 3);
    expect(await queue.consumer.waitForJobs()).toHaveLength(1);
    const other = await queue.addWorker();
    expect(await other.waitForJobs()).toEqual([]);
    expect((await other.claim(8)).map(({ jobId }) => jobId)).toEqual(ids.slice(1));
  });

  it('moves to the next version where the images fit, in its order, and ends FAILED where they do not', async () => {
    const queue = await setUp({ graceMs: 0 });
    const { prefix, redis, model, consumer, producer, keys } = queue;
    const a = await flood(queue, by('a'), 4);
    const b = await flood(queue, by('b'), 3);
    async function replace(version: string, width: number) {
      const next = { ...model, version, input: { ...model.input, width } };
      const worker = createConsumer({
        redis,
        blockingRedis: connect('blocking'),
        prefix,
        model: next,
        worker: version,
      });
      await worker.announce({ worker: version, version, engine: 'scripted', startedAtMs: 0 });
      return worker;
    }
    const fitting = await replace('bbbbbbbbbbbb', 2);
    await consumer.leave();
    expect(await fitting.adoptRetired()).toBe(7);
    expect(await redis.keys(`${keys.fair}${model.version}*`)).toEqual([]);
    const jobs = await fitting.claim(4);
    expect(jobs.filter(({ tenant }) => tenant === 'a').map(({ jobId }) => jobId)).toEqual(a.slice(0, 2));
    expect(jobs.filter(({ tenant }) => tenant === 'b').map(({ jobId }) => jobId)).toEqual(b.slice(0, 2));
    await fitting.settle((await fitting.start(jobs)).map(success));
    expect(await fitting.isDrained()).toBe(false);
    await fitting.leave();
    const other = await replace('cccccccccccc', 3);
    expect(await other.adoptRetired()).toBe(3);
    const ends = await producer.readMany([a[3]!, b[2]!]);
    expect(ends.map((one) => one!.state.errorCode)).toEqual(['VERSION_RETIRED', 'VERSION_RETIRED']);
    expect(await leftovers(redis, prefix)).toEqual([]);
  });

  it('is hastened by a more urgent follower of its tenant, and not shared with one of another tenant', async () => {
    const queue = await setUp();
    await flood(queue, by('a'), 5, 'LOW');
    const shared = { shareAcrossTenants: true };
    const low = await queue.admit(99, { ...shared, caller: by('a'), priority: 'LOW' });
    const other = await queue.admit(99, { ...shared, caller: by('b'), priority: 'LOW' });
    expect(other.jobId).toBe(other.id);
    const later = await queue.admit(98, { ...shared, caller: by('a'), priority: 'LOW' });
    const high = await queue.admit(98, { ...shared, caller: by('a'), priority: 'HIGH' });
    expect(high.jobId).toBe(later.id);
    expect((await queue.producer.read(later.id))!.position).toBe(1);
    const [first] = await queue.consumer.claim(1);
    expect(first).toMatchObject({ jobId: later.id, image: Buffer.alloc(12, 98) });
    expect(low.jobId).toBe(low.id);
  });
});
