import { expect, test } from 'vitest';
import { runScenario } from './scenario.ts';

test('a server is killed with its mutations and subscriptions: clients continue with the other one', async () => {
  const { load } = await runScenario({
    fault: 'kill -9 of a server',
    async act({ system, load }) {
      await system.servers[0]!.kill9();
      await load.more(50);
      await system.servers[0]!.restart();
    },
  });
  expect(load.refusals.connection).toBeGreaterThan(0);
});

test('servers and workers restarted one after the other under load: no client sees a failed prediction', async () => {
  const { verdict, load } = await runScenario({
    fault: 'rolling restart of servers and workers',
    load: { mixed: false },
    async act({ system }) {
      for (const server of system.servers) await server.restart();
      for (const worker of system.workers) await worker.restart();
    },
  });
  expect(verdict.ended).toEqual({ SUCCEEDED: verdict.answered });
  // What a load balancer sees: refused connections and retryable errors.
  const { connection, UNAVAILABLE, ...others } = load.refusals;
  expect(others).toEqual({});
});
