import { expect, test } from 'vitest';
import { runScenario, stopInBatch } from './scenario.ts';

test('two tenants with keys, a worker and a server killed: each finds all of its predictions and no others', async () => {
  const { verdict, load } = await runScenario({
    fault: 'kill -9 of a worker and of a server, with two tenants and keys',
    tenants: ['alice', 'bob'],
    async act({ system, redis, load: running }) {
      await stopInBatch(redis, system.workers[0]!);
      await Promise.all([system.workers[0]!.kill9(), system.servers[0]!.kill9()]);
      await running.more(50);
      await system.servers[0]!.restart();
      await system.workers[0]!.restart();
    },
  });
  expect(verdict.retried.length).toBeGreaterThan(0);
  expect(verdict.ended.FAILED).toBeUndefined();
  expect(load.foreignReads()).toBeGreaterThan(40);
  // No client was treated as one without a key.
  expect([load.refusals.UNAUTHENTICATED, load.refusals.FORBIDDEN]).toEqual([undefined, undefined]);
});
