import { expectedClass, makeMishap, makePicture } from '@inferql/testing/test-images';
import { expect, test } from 'vitest';
import { busyModel, runScenario, stopInBatch, untilReclaimed } from './scenario.ts';

test('a worker killed in the middle of a batch loses nothing: the other one reclaims its jobs', async () => {
  const { verdict } = await runScenario({
    fault: 'kill -9 of a worker in the middle of a batch',
    async act({ system, redis }) {
      await stopInBatch(redis, system.workers[0]!);
      await system.workers[0]!.kill9();
      // The remaining one does everything from here on, including the lost attempts.
      system.workers.shift();
    },
  });
  expect(verdict.retried.length).toBeGreaterThan(0);
  expect(verdict.ended.FAILED).toBeUndefined();
});

test('all workers killed: new ones do what they held and what waits', async () => {
  const { verdict } = await runScenario({
    fault: 'kill -9 of all workers',
    async act({ system, redis }) {
      await stopInBatch(redis, system.workers[0]!);
      await Promise.all(system.workers.map((worker) => worker.kill9()));
      await Promise.all(system.workers.map((worker) => worker.restart()));
    },
  });
  expect(verdict.retried.length).toBeGreaterThan(0);
  expect(verdict.ended.FAILED).toBeUndefined();
});

test('a worker that was stopped beyond its lease continues and changes nothing that others did', async () => {
  const { verdict } = await runScenario({
    fault: 'SIGSTOP of a worker beyond its lease, then SIGCONT',
    async act({ system, redis, load }) {
      const held = await stopInBatch(redis, system.workers[0]!);
      await untilReclaimed(redis, system.workers[0]!, held);
      await load.more(20);
      system.workers[0]!.resume();
    },
  });
  expect(verdict.retried.length).toBeGreaterThan(0);
  expect(verdict.ended.FAILED).toBeUndefined();
});

/** Pictures that cause a failure, among the others: one in forty, so that each spoils a separate batch. */
const MISHAPS_FROM = 100;
const MISHAPS = 3;
const isMishap = (n: number) => n >= MISHAPS_FROM && n < MISHAPS_FROM + 40 * MISHAPS && (n - MISHAPS_FROM) % 40 === 0;

test.each([
  ['throws', 'throwOn', 'MODEL_FAILED'],
  ['hangs', 'hangOn', 'ENGINE_TIMEOUT'],
  ['exits', 'exitOn', 'ENGINE_CRASHED'],
] as const)('an engine that %s fails the image that caused it, and no other', async (what, field, code) => {
  const firstByte = 210;
  const failed = new Set<string>();
  const { verdict } = await runScenario({
    fault: `an engine that ${what}`,
    system: {
      models: [busyModel({ [field]: [firstByte] }, { maxAttempts: 2 })],
      env: { INFERQL_ENGINE_TIME_LIMIT_MS: '3000' },
    },
    load: {
      mixed: false,
      picture: (n) => (isMishap(n) ? makeMishap(firstByte, n) : makePicture(n)),
      expected: (n) => (isMishap(n) ? undefined : expectedClass(n)),
      onEnd: ({ id, errorCode }) => errorCode === code && failed.add(id),
    },
    // The pictures that cause failures are already on their way.
    act: async ({ load }) => load.until(() => failed.size > 0),
  });
  expect(verdict.ended).toEqual({ SUCCEEDED: verdict.answered - MISHAPS, FAILED: MISHAPS });
  expect(failed.size).toBe(MISHAPS);
});
