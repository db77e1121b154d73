import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { StartedJob } from '../jobs/consumer.ts';
import { by } from './fairness.fixture.ts';
import { failure, leftovers, setUp, success } from './queue.fixture.ts';

const TENANTS = ['a', 'b', 'c'];
const pick = fc.nat({ max: 50 });
const step = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      kind: fc.constant('admit' as const),
      tenant: fc.constantFrom(...TENANTS),
      weight: fc.constantFrom(0.3, 1, 2.5),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('serve' as const), count: fc.integer({ min: 1, max: 4 }) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant('settle' as const),
      succeeded: fc.boolean(),
      inferenceMs: fc.integer({ min: 1, max: 50 }),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('cancel' as const, 'reclaim' as const), pick }) },
);
/** A step, and whether it is sent again because its reply was lost. */
const sending = fc.tuple(step, fc.boolean());

it('whatever tenants do, places are 1 to n, in each tenant’s order, and in the order in which work starts', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(sending, { minLength: 1, maxLength: 50, size: 'max' }), async (steps) => {
      const { prefix, redis, network, producer, registry, consumer, request } = await setUp({ maxAttempts: 2 });
      /** In the order of admission. */
      const open: { id: string; tenant: string }[] = [];
      const started: StartedJob[] = [];

      /** The waiting ones by position, after checking the positions. */
      async function readOrder(): Promise<string[]> {
        const snapshots = await producer.readMany(open.map(({ id }) => id));
        const waiting = open.flatMap(({ id, tenant }, i) => {
          const { state, position } = snapshots[i]!;
          return state.status === 'QUEUED' ? [{ id, tenant, position: position! }] : [];
        });
        const order = waiting.toSorted((x, y) => x.position - y.position);
        expect(order.map(({ position }) => position)).toEqual(order.map((_, i) => i + 1));
        for (const tenant of TENANTS) {
          const own = (list: typeof waiting) => list.filter((one) => one.tenant === tenant).map(({ id }) => id);
          expect(own(order)).toEqual(own(waiting));
        }
        expect((await registry.queueState('tiny'))!.waiting).toBe(order.length);
        return order.map(({ id }) => id);
      }

      for (const [next, isSentAgain] of steps) {
        const order = await readOrder();
        network.losesReplies = isSentAgain;
        switch (next.kind) {
          case 'admit': {
            const sent = request(1, { caller: by(next.tenant, next.weight), share: false });
            await producer.admit(sent);
            open.push({ id: sent.id, tenant: next.tenant });
            break;
          }
          case 'serve': {
            const jobs = await consumer.claim(next.count);
            const begun = await consumer.start(jobs);
            // One priority, and nothing came or was measured meanwhile.
            expect(begun.map(({ job }) => job.jobId)).toEqual(order.slice(0, begun.length));
            // Jobs of a lost reply are left to the next claim.
            const expected = Math.min(next.count, order.length);
            expect(begun.length).toBeGreaterThanOrEqual(isSentAgain ? Math.min(1, expected) : expected);
            started.push(...begun);
            break;
          }
          case 'settle': {
            const outcomes = started
              .splice(0)
              .map((one) => (next.succeeded ? { ...success(one), inferenceMs: next.inferenceMs } : failure(one)));
            const settlements = await consumer.settle(outcomes);
            const again = outcomes.flatMap(({ started: one }, i) => (settlements[i] === 'retry' ? [one.job] : []));
            started.push(...(await consumer.start(again)));
            break;
          }
          case 'cancel': {
            const one = open[next.pick % Math.max(open.length, 1)];
            if (one) await producer.cancel(one.id);
            break;
          }
          case 'reclaim':
            expect(await consumer.reclaim(10)).toEqual([]);
            break;
          default:
            next satisfies never;
        }
      }
      network.losesReplies = false;
      await readOrder();
      for (const { id } of open) await producer.cancel(id);
      expect(await leftovers(redis, prefix)).toEqual([]);
    }),
    { numRuns: 100 },
  );
}, 300_000);
