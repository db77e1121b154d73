import fc from 'fast-check';
import { expect, it } from 'vitest';
import { imageByteLength, isTerminal, PRIORITIES, type ServedModel } from '../contract.ts';
import { Consumer, type StartedJob } from '../jobs/consumer.ts';
import type { RedisConnection } from '../redis/connection.ts';
import type { ModelKeys } from '../redis/keys.ts';
import { connect, failure, leftovers, setUp, success } from './queue.fixture.ts';

const worker = fc.nat({ max: 3 });
const pick = fc.nat({ max: 30 });
const step = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant('admit' as const),
      pixel: fc.integer({ min: 1, max: 3 }),
      share: fc.boolean(),
      caches: fc.boolean(),
      tenant: fc.constantFrom('a', 'b', 'c'),
      weight: fc.constantFrom(0.5, 1, 3),
      across: fc.boolean(),
      lane: fc.nat({ max: PRIORITIES.length - 1 }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constantFrom('register' as const, 'deregister' as const, 'withdraw' as const),
      worker,
    }),
  },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('begin' as const), worker, count: fc.nat({ max: 3 }) }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('settle' as const), worker, succeeded: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('reclaim' as const), worker }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('migrate' as const), worker }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('cancel' as const, 'expire' as const), pick }) },
);

/** What counters and sets say about the queue, and what is really in it. */
async function takeStock(redis: RedisConnection, keys: ModelKeys) {
  const [jobKeys, sharedKeys, streams, predictionKeys] = await Promise.all(
    [keys.job, keys.shared, keys.stream, keys.prediction].map((prefix) => redis.keys(`${prefix}*`)),
  );
  const jobs = await Promise.all(
    jobKeys!.map(async (key) => {
      const id = key.slice(keys.job.length);
      const fields = ['attempts', 'bytes', 'stream', 'entryId', 'tenant', 'version', 'priority'];
      const [attempts, bytes, stream, entryId, tenant, version, priority] = await redis.hmget(key, ...fields);
      const lane = `${version}:${priority}`;
      const isQueued = entryId === '';
      const entry = isQueued ? [] : await redis.xrange(stream!, entryId!, entryId!);
      const predictions = await redis.smembers(`${keys.jobPredictions}${id}`);
      const hasBegun = Number(attempts) > 0;
      return {
        id,
        hasBegun,
        bytes: Number(bytes),
        entries: entry.length,
        predictions,
        tenant: tenant!,
        lane,
        isQueued,
      };
    }),
  );
  const predictions = await Promise.all(
    predictionKeys!.map(async (key) => {
      const [status, jobId, tenant] = await redis.hmget(key, 'status', 'jobId', 'tenant');
      return {
        tenant: tenant!,
        id: key.slice(keys.prediction.length),
        isOpen: /QUEUED|PROCESSING/.test(status!),
        jobId: jobId!,
      };
    }),
  );
  const backlogKeys = (await redis.keys(`${keys.fair}*:backlog:*`)).sort();
  const backlogs = await Promise.all(backlogKeys.map((key) => redis.zrange(key, '0', '-1')));
  const activeKeys = await redis.keys(`${keys.fair}*:active`);
  const active = await Promise.all(activeKeys.map((key) => redis.zrange(key, '0', '-1')));
  const countKeys = await redis.keys(`${keys.fair}*:counts`);
  const counts = await Promise.all(countKeys.map((key) => redis.hgetall(key)));
  const laneOf = (key: string) => key.slice(keys.fair.length).split(':').slice(0, 2).join(':');
  const countBy = (names: string[]) => {
    const counted: Record<string, number> = {};
    for (const name of names) counted[name] = (counted[name] ?? 0) + 1;
    return counted;
  };
  const asNumbers = (fields: Record<string, string>) =>
    Object.fromEntries(Object.entries(fields).map(([name, count]) => [name, Number(count)]));
  const queued = jobs.filter(({ isQueued }) => isQueued);
  const open = predictions.filter(({ isOpen }) => isOpen);
  const [bytes, processing] = await redis.hmget(keys.counters, 'bytes', 'processing');
  const lengths = await Promise.all(streams!.map((stream) => redis.xlen(stream)));
  const sum = (numbers: number[]) => numbers.reduce((total, one) => total + one, 0);
  return {
    said: {
      bytes: Number(bytes ?? 0),
      processing: Number(processing ?? 0),
      waiting: (await redis.zrange(keys.waiting, '0', '-1')).sort(),
      deadlines: (await redis.zrange(keys.deadlines, '0', '-1')).sort(),
      predictions: jobs.flatMap(({ id, predictions }) => predictions.map((prediction) => `${prediction} ${id}`)).sort(),
      entries: sum(lengths),
      open: asNumbers(await redis.hgetall(keys.open)),
      tenants: asNumbers(await redis.hgetall(keys.tenants)),
      running: asNumbers(await redis.hgetall(keys.running)),
      weights: Object.keys(await redis.hgetall(keys.weights)).sort(),
      backlogs: backlogs.flat().sort(),
      backlogCounts: Object.assign(
        {},
        ...countKeys.map((key, i) =>
          Object.fromEntries(Object.entries(asNumbers(counts[i]!)).map(([name, n]) => [`${laneOf(key)} ${name}`, n])),
        ),
      ) as Record<string, number>,
      active: activeKeys.flatMap((key, i) => active[i]!.map((tenant) => `${laneOf(key)} ${tenant}`)).sort(),
      shared: await Promise.all(sharedKeys!.map(async (key) => redis.exists(`${keys.job}${await redis.get(key)}`))),
    },
    found: {
      bytes: sum(jobs.map((job) => job.bytes)),
      processing: jobs.filter(({ hasBegun }) => hasBegun).length,
      waiting: jobs.flatMap(({ id, hasBegun }) => (hasBegun ? [] : [id])).sort(),
      deadlines: open.map(({ id }) => id).sort(),
      predictions: open.map(({ id, jobId }) => `${id} ${jobId}`).sort(),
      entries: sum(jobs.map(({ entries }) => entries)),
      open: countBy(open.map(({ tenant }) => tenant)),
      tenants: countBy(jobs.flatMap(({ hasBegun, tenant }) => (hasBegun ? [] : [tenant]))),
      running: countBy(jobs.flatMap(({ hasBegun, tenant }) => (hasBegun ? [tenant] : []))),
      weights: [...new Set(jobs.flatMap(({ hasBegun, tenant }) => (hasBegun ? [] : [tenant])))].sort(),
      backlogs: queued.map(({ id }) => id).sort(),
      backlogCounts: countBy(queued.map(({ lane, tenant }) => `${lane} ${tenant}`)),
      active: [...new Set(queued.map(({ lane, tenant }) => `${lane} ${tenant}`))].sort(),
      shared: sharedKeys!.map(() => 1),
    },
  };
}

it('whatever is sent, lost and fails, across versions too, counters and sets match the records, and an end is final', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 1, maxLength: 40, size: 'max' }), async (steps) => {
      const { prefix, redis, producer, registry, request, model, keys } = await setUp({
        visibilityMs: 0,
        maxAttempts: 2,
      });
      const blockingRedis = connect('blocking');
      // Two workers of the first version, one of a version that takes the same images, one of a version that takes others.
      const versions = ['a', 'a', 'b', 'c'].map(
        (letter): ServedModel => ({
          ...model,
          version: letter.repeat(12),
          input: { ...model.input, width: letter === 'c' ? 3 : 2 },
        }),
      );
      const names = versions.map(({ version }, i) => `${version} ${i}`);
      const makeWorker = (i: number) =>
        new Consumer({ redis, blockingRedis, prefix, model: versions[i]!, worker: names[i]! });
      const workers = versions.map((_, i) => makeWorker(i));
      const held: StartedJob[][] = versions.map(() => []);
      const ids: string[] = [];
      const ends = new Map<string, string>();

      async function take(next: (typeof steps)[number]): Promise<void> {
        switch (next.kind) {
          case 'admit': {
            const [current] = await registry.models();
            if (!current) break;
            const { share, lane, caches, pixel, tenant, weight, across: shareAcrossTenants } = next;
            const image = Buffer.alloc(imageByteLength(current.input), pixel);
            const cacheTtlMs = caches ? 60_000 : 0;
            const caller = { tenant, keyId: undefined, weight };
            const priority = PRIORITIES[lane]!;
            const work = { model: current, image, share, shareAcrossTenants, caller, priority, cacheTtlMs };
            const sent = request(pixel, work);
            if ((await producer.admit(sent)).kind === 'admitted') ids.push(sent.id);
            break;
          }
          case 'register': {
            const { version } = versions[next.worker]!;
            await workers[next.worker]!.register({
              worker: names[next.worker]!,
              version,
              engine: 'scripted',
              startedAtMs: 0,
            });
            break;
          }
          case 'deregister':
          case 'withdraw':
            await workers[next.worker]![next.kind]();
            // The next worker under this name registers itself as new.
            workers[next.worker] = makeWorker(next.worker);
            break;
          case 'begin':
            held[next.worker]!.push(
              ...(await workers[next.worker]!.start(await workers[next.worker]!.claim(next.count))),
            );
            break;
          case 'reclaim':
            held[next.worker]!.push(...(await workers[next.worker]!.start(await workers[next.worker]!.reclaim(3))));
            break;
          case 'settle': {
            const outcomes = held[next.worker]!.splice(0).map(next.succeeded ? success : failure);
            await workers[next.worker]!.settle(outcomes);
            break;
          }
          case 'migrate':
            await workers[next.worker]!.migrateRetired();
            break;
          case 'cancel':
          case 'expire': {
            const id = ids[next.pick % Math.max(ids.length, 1)];
            if (!id) break;
            if (next.kind === 'cancel') await producer.cancel(id);
            else if (await redis.zscore(keys.deadlines, id)) await redis.zadd(keys.deadlines, 1, id);
            await producer.expireDue(model.name);
            break;
          }
          default:
            next satisfies never;
        }
      }

      for (const next of steps) {
        // A worker that was not registered, or whose version is retired, has no group to read.
        await take(next).catch((error: Error) => expect(error.message).toContain('NOGROUP'));
        for (const snapshot of await producer.readMany(ids)) {
          const { id, status, revision } = snapshot!.state;
          if (!isTerminal(status)) continue;
          const end = `${status} at revision ${revision}`;
          expect(ends.get(id) ?? end).toBe(end);
          ends.set(id, end);
        }
      }
      const { said, found } = await takeStock(redis, keys);
      expect(said).toEqual(found);
      for (const id of ids) await producer.cancel(id);
      expect(await leftovers(redis, prefix)).toEqual([]);
    }),
    { numRuns: 200 },
  );
}, 300_000);
