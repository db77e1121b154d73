import { expect, test } from 'vitest';
import { runScenario, stopInBatch, untilReclaimed } from './scenario.ts';

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
