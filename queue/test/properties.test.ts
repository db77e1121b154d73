import fc from 'fast-check';
import { expect, it } from 'vitest';
import { PRIORITIES } from '../contract.ts';
import type { Consumer, StartedJob } from '../jobs/consumer.ts';
import type { ClaimedJob } from '../jobs/stream-entry.ts';
import { MAX_ATTEMPTS, MAX_QUEUE_SIZE, ModelQueue } from './model-queue.fixture.ts';
import { failure, leftovers, setUp, success } from './queue.fixture.ts';

const worker = fc.integer({ min: 0, max: 1 });
const pick = fc.nat({ max: 50 });
const step = fc.oneof(
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant('admit' as const),
      tenant: pick,
      pixel: fc.integer({ min: 1, max: 4 }),
      share: fc.boolean(),
      caches: fc.boolean(),
      lane: fc.nat({ max: PRIORITIES.length - 1 }),
      key: fc.option(fc.constantFrom('a', 'b'), { freq: 2 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('cancel' as const), pick, tenant: pick }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('expire' as const), pick }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('claim' as const), worker, count: fc.integer({ min: 1, max: 4 }) }),
  },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant('start' as const), worker, pick }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('settle' as const), worker, pick, succeeded: fc.boolean() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('reclaim' as const), worker }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('extend' as const), worker }) },
);
/** A step, and whether it is sent again because its reply was lost. */
const sending = fc.tuple(step, fc.boolean());

it.each([
  { name: 'of one tenant, with fair shares', tenants: ['anonymous'], fairShares: true },
  // First come, first served, so that the model stays simple: fairness-properties.test.ts checks the order among tenants.
  { name: 'of three tenants', tenants: ['a', 'b', 'c'], fairShares: false },
])(
  'servers and workers, whatever the order of their steps, see what a simple model of the queue says, $name',
  async ({ tenants, fairShares }) => {
    await fc.assert(
      fc.asyncProperty(fc.array(sending, { minLength: 1, maxLength: 60, size: 'max' }), async (steps) => {
        // A lease of 0 ms: every pending job counts as stalled, so that `reclaim` takes whatever the other worker holds.
        const { prefix, redis, network, producer, registry, consumer, addWorker, request, keys } = await setUp({
          maxQueueSize: MAX_QUEUE_SIZE,
          maxAttempts: MAX_ATTEMPTS,
          visibilityMs: 0,
          fairShares,
        });
        const model = new ModelQueue();
        const consumers: Consumer[] = [consumer, await addWorker()];
        const claimed: ClaimedJob[][] = [[], []];
        const started: StartedJob[][] = [[], []];
        const ids: string[] = [];

        for (const [next, isSentAgain] of steps) {
          network.losesReplies = isSentAgain;
          switch (next.kind) {
            case 'admit': {
              const { share, pixel, lane, key, caches } = next;
              const cacheTtlMs = caches ? 60_000 : 0;
              const idempotencyKey = key ?? undefined;
              const tenant = tenants[next.tenant % tenants.length]!;
              const caller = { tenant, keyId: undefined, weight: 1 };
              const priority = PRIORITIES[lane]!;
              const sent = request(pixel, { caller, share, priority, idempotencyKey, cacheTtlMs });
              const expected = model.admit({ ...next, tenant, id: sent.id });
              const outcome = await producer.admit(sent);
              expect(outcome.kind === 'admitted' ? outcome.state.id : outcome.kind).toBe(expected);
              if (expected === sent.id) ids.push(sent.id);
              break;
            }
            case 'cancel':
            case 'expire': {
              const id = ids[next.pick % Math.max(ids.length, 1)];
              if (!id) break;
              if (next.kind === 'cancel') {
                // Of its tenant, or of another one, to whom it does not exist.
                const tenant = tenants[next.tenant % tenants.length]!;
                const isOwn = model.owners.get(id) === tenant;
                expect((await producer.cancelFor(tenant, id))?.id).toBe(isOwn ? id : undefined);
                if (isOwn) model.end(id, 'CANCELED');
              } else if (await redis.zscore(keys.deadlines, id)) {
                await redis.zadd(keys.deadlines, 1, id);
                expect(await producer.expireDue('tiny')).toBe(isSentAgain ? 0 : 1);
                model.end(id, 'EXPIRED');
              }
              break;
            }
            case 'claim': {
              const jobs = await consumers[next.worker]!.claim(next.count);
              claimed[next.worker]!.push(...jobs);
              for (const { jobId } of jobs) model.jobs.get(jobId)!.owner = next.worker;
              break;
            }
            case 'reclaim': {
              const jobs = await consumers[next.worker]!.reclaim(100);
              claimed[next.worker]!.push(...jobs);
              for (const { jobId, redelivered } of jobs) expect(redelivered).toBe(model.jobs.get(jobId)!.attempts > 0);
              // Reclaiming also moves back jobs that this worker still holds and the other one had reclaimed from it.
              for (const job of model.jobs.values()) if (job.owner !== undefined) job.owner = next.worker;
              break;
            }
            case 'start': {
              const [job] = claimed[next.worker]!.splice(next.pick % Math.max(claimed[next.worker]!.length, 1), 1);
              if (!job) break;
              const expected = model.start(job.jobId, next.worker);
              const [begun] = await consumers[next.worker]!.start([job]);
              expect(begun?.attempt ?? 0).toBe(expected);
              if (begun) started[next.worker]!.push(begun);
              break;
            }
            case 'settle': {
              const [begun] = started[next.worker]!.splice(next.pick % Math.max(started[next.worker]!.length, 1), 1);
              if (!begun) break;
              const expected = model.settle(begun.job.jobId, begun.attempt, next.succeeded);
              const outcome = next.succeeded ? success(begun) : failure(begun);
              const answer = isSentAgain && expected === 'settled' ? 'gone' : expected;
              expect(await consumers[next.worker]!.settle([outcome])).toEqual([answer]);
              if (expected === 'retry') claimed[next.worker]!.push(begun.job);
              break;
            }
            case 'extend':
              await consumers[next.worker]!.extendLeases([
                ...claimed[next.worker]!,
                ...started[next.worker]!.map(({ job }) => job),
              ]);
              break;
            default:
              next satisfies never;
          }
          const probe = ids.at(-1);
          const [states, queue, ...seen] = await Promise.all([
            producer.readMany(ids),
            registry.queueState('tiny'),
            ...(probe === undefined ? [] : tenants.map((tenant) => producer.readFor(tenant, probe))),
          ]);
          const waiting = model.waiting().length;
          // Compared at once: `expect` itself takes more time than most of these.
          expect({
            statuses: states.map((snapshot) => snapshot!.state.status),
            positions: states.map((snapshot) => snapshot!.position),
            waiting: queue!.waiting,
            processing: queue!.processing,
            queuedBytes: queue!.queuedBytes,
            tenants: queue!.tenants,
            running: queue!.running,
            seen: seen.map((snapshot) => snapshot?.state.id),
          }).toEqual({
            statuses: ids.map((id) => model.status.get(id)),
            positions: ids.map((id) => model.position(id)),
            waiting,
            processing: model.jobs.size - waiting,
            queuedBytes: model.jobs.size * 12,
            tenants: model.countByTenant(({ attempts }) => attempts === 0),
            running: model.countByTenant(({ attempts }) => attempts > 0),
            seen:
              probe === undefined ? [] : tenants.map((own) => (model.owners.get(probe) === own ? probe : undefined)),
          });
        }

        network.losesReplies = false;
        for (const id of ids) await producer.cancel(id);
        for (const [i, jobs] of claimed.entries()) await consumers[i]!.start(jobs);
        expect(await leftovers(redis, prefix)).toEqual([]);
      }),
      { numRuns: 200 },
    );
  },
  300_000,
);
