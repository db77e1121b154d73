/** The timers around the loop, with a queue and an engine that the test controls: each turn of a timer takes no time. */
import type { ServedModel } from '@inferql/queue/contract';
import { HeldJobs } from '@inferql/queue/jobs/held-jobs';
import type { ClaimedJob } from '@inferql/queue/jobs/stream-entry';
import { makeServedModel } from '@inferql/testing/data/served-model';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type LeaseTimerOptions, startLeaseTimers } from './lease-and-reclaim-timers.ts';

const LEASE_MS = 3_000;
const model: ServedModel = makeServedModel('tiny', { batching: { maxBatchSize: 2, maxQueueDelayMs: 0 } });
const job = (entryId: string): ClaimedJob => ({
  entryId,
  stream: 'stream',
  jobId: entryId,
  tenant: 'anonymous',
  image: Buffer.alloc(1),
  options: { heatmap: false },
  redelivered: true,
  readable: true,
});

let stop = () => {};
beforeEach(() => void vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'performance'] }));
afterEach(() => {
  stop();
  vi.useRealTimers();
});

function start() {
  const state = { downSinceMs: undefined as number | undefined, isDraining: false };
  const done: string[] = [];
  const failures: string[] = [];
  const held = new HeldJobs();
  const reclaimed: ClaimedJob[][] = [];
  let answer: (step: string) => Promise<unknown> = async () => undefined;
  const take = async (step: string) => {
    done.push(step);
    await answer(step);
  };
  const consumer = {
    held,
    extendLeases: (jobs: readonly unknown[]) => take(`extend ${jobs.length}`),
    async reclaim(max: number) {
      await take(`reclaim ${max}`);
      return [job('lost')];
    },
    migrateRetired: () => take('migrate'),
    expireDue: () => take('expire'),
  };
  const reportOnce = Object.assign((name: string) => void failures.push(name), {
    clear: (name: string) => void failures.push(`${name} again`),
  });
  const timers = startLeaseTimers({
    consumer: consumer as unknown as LeaseTimerOptions['consumer'],
    batcher: { pushRedelivered: (jobs) => void reclaimed.push(jobs) },
    engine: {
      downSinceMs: () => state.downSinceMs,
      close: () => take('close the engine') as Promise<void>,
    },
    model: { ...model, queue: { ...model.queue, visibilityMs: LEASE_MS } },
    register: () => take('register') as Promise<void>,
    isDraining: () => state.isDraining,
    reportOnce,
  });
  stop = timers.stop;
  return {
    state,
    held,
    failures,
    reclaimed,
    answerWith(next: typeof answer) {
      answer = next;
    },
    /** What the timers do in this time. */
    async during(ms: number) {
      done.length = 0;
      await vi.advanceTimersByTimeAsync(ms);
      return done.toSorted();
    },
  };
}

test('leases are extended three times per lease, the heartbeat three times per lifetime', async () => {
  const timers = start();
  timers.held.add([job('1')]);
  const steps = await timers.during(6_000);
  const count = (name: string) => steps.filter((step) => step.startsWith(name)).length;
  expect({ extend: count('extend 1'), register: count('register'), reclaim: count('reclaim') }).toEqual({
    extend: 6,
    register: 3,
    reclaim: 3,
  });
  expect(count('expire')).toBeGreaterThanOrEqual(5);
});

test('what another worker lost is passed on, as much as fits and at least one job', async () => {
  const timers = start();
  expect(await timers.during(2_000)).toContain('reclaim 2');
  timers.held.add([job('1'), job('2'), job('3')]);
  expect(await timers.during(2_000)).toContain('reclaim 1');
  expect(timers.reclaimed.flat().map(({ jobId }) => jobId)).toEqual(['lost', 'lost']);
});

test('while the engine is down nothing is reclaimed; after a lease without it, this worker counts as gone', async () => {
  const timers = start();
  timers.state.downSinceMs = performance.now();
  const within = await timers.during(2_000);
  expect(within).toEqual(expect.arrayContaining(['extend 0', 'register', 'migrate']));
  expect(within.join()).not.toContain('reclaim');
  await timers.during(1_000);
  expect(await timers.during(6_000)).not.toEqual(
    expect.arrayContaining([expect.stringMatching(/extend|register|close/)]),
  );
  timers.state.downSinceMs = undefined;
  expect(await timers.during(2_000)).toEqual(expect.arrayContaining(['extend 0', 'register', 'reclaim 2']));
});

test('a draining worker reclaims nothing, and gives up an engine that does not come back', async () => {
  const timers = start();
  timers.state.isDraining = true;
  const steps = await timers.during(6_000);
  expect(steps).toEqual(expect.arrayContaining(['extend 0', 'register', 'expire']));
  expect(steps).not.toEqual(expect.arrayContaining([expect.stringMatching(/reclaim|migrate|close/)]));
  timers.state.downSinceMs = performance.now() - LEASE_MS;
  expect(await timers.during(1_000)).toContain('close the engine');
});

test('a step that still runs is not started again; one that failed is reported and repeated', async () => {
  const timers = start();
  let refuse = (_error: Error) => {};
  timers.answerWith((step) =>
    step === 'register'
      ? new Promise((_resolve, reject) => {
          refuse = reject;
        })
      : Promise.resolve(),
  );
  expect((await timers.during(6_000)).filter((step) => step === 'register')).toHaveLength(1);
  refuse(new Error('ERR refused by the test'));
  await timers.during(0);
  expect(timers.failures.filter((name) => name.startsWith('register'))).toEqual(['register']);
  timers.answerWith(async () => undefined);
  expect(await timers.during(2_000)).toContain('register');
  expect(timers.failures.filter((name) => name.startsWith('register'))).toEqual(['register', 'register again']);
});
