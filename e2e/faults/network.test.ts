import { setTimeout as delay } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { runScenario } from './scenario.ts';

test('connections to Redis that are cut, and refused for a while, recover automatically', async () => {
  await runScenario({
    fault: 'connections to Redis cut',
    proxies: true,
    async act({ serverProxy, workerProxy, load }) {
      for (const proxy of [serverProxy, workerProxy]) {
        proxy.cutOnce();
        await load.more(30);
        proxy.cut();
        await delay(1_500);
        proxy.restore();
        await load.more(30);
      }
      serverProxy.cut();
      workerProxy.cut();
      await delay(1_500);
      serverProxy.restore();
      workerProxy.restore();
    },
  });
});

test('a slow connection to Redis makes everything slower and nothing wrong', async () => {
  await runScenario({
    fault: 'connections to Redis slow (100 ms each way)',
    proxies: true,
    async act({ serverProxy, workerProxy, load }) {
      serverProxy.slow(100);
      workerProxy.slow(100);
      await load.more(100);
      serverProxy.restore();
      workerProxy.restore();
    },
  });
});

test('answers that come before a late SUBSCRIBE is confirmed are not missed', async () => {
  await runScenario({
    fault: 'SUBSCRIBE delayed (500 ms)',
    proxies: true,
    async act({ serverProxy, load }) {
      serverProxy.delaySubscribe(500);
      for (let cut = 0; cut < 3; cut++) {
        serverProxy.cutOnce();
        await load.more(60);
      }
    },
  });
});

test('published messages that are lost on connections that look alive are recovered', async () => {
  let dropped = 0;
  await runScenario({
    fault: 'published messages lost for 5 s',
    proxies: true,
    async act({ serverProxy, load }) {
      serverProxy.dropMessages();
      await delay(5_000);
      // No end was published meanwhile: the servers found all of them when they read the states again.
      await load.more(20);
      dropped = serverProxy.droppedCount();
      serverProxy.restore();
    },
  });
  expect(dropped).toBeGreaterThan(0);
});
