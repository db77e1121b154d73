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
  const jobs = await Promise.all(jobKeys!.map((key) => readJob(redis, keys, key)));
  const predictions = await Promise.all(predictionKeys!.map((key) => readPrediction(redis, keys, key)));
  const shared = await Promise.all(sharedKeys!.map(async (key) => redis.exists(`${keys.job}${await redis.get(key)}`)));
  const said = { ...(await readCounters(redis, keys, streams!)), ...(await readBacklogs(redis, keys)), shared };
  return {
    said: {
      ...said,
      predictions: jobs.flatMap(({ id, predictions }) => predictions.map((prediction) => `${prediction} ${id}`)).sort(),
    },
    found: { ...countRecords(jobs, predictions), shared: shared.map(() => 1) },
  };
}

type Job = Awaited<ReturnType<typeof readJob>>;
type Prediction = Awaited<ReturnType<typeof readPrediction>>;

async function readJob(redis: RedisConnection, keys: ModelKeys, key: string) {
  const id = key.slice(keys.job.length);
  const fields = ['attempts', 'bytes', 'stream', 'entryId', 'tenant', 'version', 'priority'];
  const [attempts, bytes, stream, entryId, tenant, version, priority] = await redis.hmget(key, ...fields);
  const isQueued = entryId === '';
  const entry = isQueued ? [] : await redis.xrange(stream!, entryId!, entryId!);
  return {
    id,
    hasBegun: Number(attempts) > 0,
    bytes: Number(bytes),
    entries: entry.length,
    predictions: await redis.smembers(`${keys.jobPredictions}${id}`),
    tenant: tenant!,
    lane: `${version}:${priority}`,
    isQueued,
  };
}

async function readPrediction(redis: RedisConnection, keys: ModelKeys, key: string) {
  const [status, jobId, tenant] = await redis.hmget(key, 'status', 'jobId', 'tenant');
  return {
    tenant: tenant!,
    id: key.slice(keys.prediction.length),
    isOpen: /QUEUED|PROCESSING/.test(status!),
    jobId: jobId!,
  };
}

async function readCounters(redis: RedisConnection, keys: ModelKeys, streams: string[]) {
  const [bytes, processing] = await redis.hmget(keys.counters, 'bytes', 'processing');
  return {
    bytes: Number(bytes ?? 0),
    processing: Number(processing ?? 0),
    waiting: (await redis.zrange(keys.waiting, '0', '-1')).sort(),
    deadlines: (await redis.zrange(keys.deadlines, '0', '-1')).sort(),
    entries: sum(await Promise.all(streams.map((stream) => redis.xlen(stream)))),
    open: asNumbers(await redis.hgetall(keys.open)),
    tenants: asNumbers(await redis.hgetall(keys.tenants)),
    running: asNumbers(await redis.hgetall(keys.running)),
    weights: Object.keys(await redis.hgetall(keys.weights)).sort(),
  };
}

/** The tenants' backlogs, their sizes and the tenants with one, per lane. */
async function readBacklogs(redis: RedisConnection, keys: ModelKeys) {
  const find = async (kind: string) => (await redis.keys(`${keys.fair}*:${kind}`)).sort();
  const readSets = (sets: string[]) => Promise.all(sets.map((key) => redis.zrange(key, '0', '-1')));
  const laneOf = (key: string) => key.slice(keys.fair.length).split(':').slice(0, 2).join(':');
  const activeKeys = await find('active');
  const active = await readSets(activeKeys);
  const counts = await Promise.all(
    (await find('counts')).map(async (key) =>
      Object.entries(asNumbers(await redis.hgetall(key))).map(([name, n]) => [`${laneOf(key)} ${name}`, n] as const),
    ),
  );
  return {
    backlogs: (await readSets(await find('backlog:*'))).flat().sort(),
    backlogCounts: Object.fromEntries(counts.flat()),
    active: activeKeys.flatMap((key, i) => active[i]!.map((tenant) => `${laneOf(key)} ${tenant}`)).sort(),
  };
}

function countRecords(jobs: Job[], predictions: Prediction[]) {
  const waiting = jobs.filter(({ hasBegun }) => !hasBegun);
  const begun = jobs.filter(({ hasBegun }) => hasBegun);
  const queued = jobs.filter(({ isQueued }) => isQueued);
  const open = predictions.filter(({ isOpen }) => isOpen);
  const tenantsOf = (records: { tenant: string }[]) => records.map(({ tenant }) => tenant);
  const lanesOf = (records: Job[]) => records.map(({ lane, tenant }) => `${lane} ${tenant}`);
  return {
    bytes: sum(jobs.map((job) => job.bytes)),
    processing: begun.length,
    waiting: waiting.map(({ id }) => id).sort(),
    deadlines: open.map(({ id }) => id).sort(),
    predictions: open.map(({ id, jobId }) => `${id} ${jobId}`).sort(),
    entries: sum(jobs.map(({ entries }) => entries)),
    open: countBy(tenantsOf(open)),
    tenants: countBy(tenantsOf(waiting)),
    running: countBy(tenantsOf(begun)),
    weights: [...new Set(tenantsOf(waiting))].sort(),
    backlogs: queued.map(({ id }) => id).sort(),
    backlogCounts: countBy(lanesOf(queued)),
    active: [...new Set(lanesOf(queued))].sort(),
  };
}

function countBy(names: string[]): Record<string, number> {
  const counted: Record<string, number> = {};
  for (const name of names) counted[name] = (counted[name] ?? 0) + 1;
  return counted;
}

function asNumbers(fields: Record<string, string>): Record<string, number> {
  return Object.fromEntries(Object.entries(fields).map(([name, count]) => [name, Number(count)]));
}

function sum(numbers: number[]): number {
  return numbers.reduce((total, one) => total + one, 0);
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
