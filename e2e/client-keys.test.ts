/** The typed client on a server that requires keys. */
import { createClient } from '@inferql/client/node';
import { makePicture } from '@inferql/testing/data/test-images';
import { WebSocket } from '@inferql/testing/network/web-socket';
import { withKeyStore } from '@inferql/testing/system/key-store';
import { scriptedModel, startSystem, type TestSystem } from '@inferql/testing/system/system';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';

let system: TestSystem;

beforeAll(async () => {
  vi.stubGlobal('WebSocket', WebSocket);
  system = await startSystem({ models: [scriptedModel()], env: { INFERQL_AUTH: 'keys' } });
});

afterAll(async () => {
  vi.unstubAllGlobals();
  await system?.end();
});

test.each(['shared', 'event-stream'] as const)(
  'when a key is revoked, subscriptions (%s) continue with the next one',
  async (subscriptions) => {
    const createKey = () =>
      withKeyStore(system.redis.url, (store) => store.create({ tenant: 'alice', scopes: ['infer', 'read'] }));
    const [first, second] = [await createKey(), await createKey()];
    let key = first.text;
    const client = createClient({ url: system.url, key: () => key, subscriptions, retryForMs: 0 });
    system.workers[0]!.pause();
    const pictures = [0, 1].map((n) => makePicture(n + (subscriptions === 'shared' ? 0 : 2)));
    const streams = await Promise.all(
      pictures.map(async (picture) => client.watch((await client.submit(picture, { model: 'scripted' })).id)),
    );
    for (const stream of streams) expect((await stream.next()).value).toMatchObject({ status: 'QUEUED' });
    key = second.text;
    await withKeyStore(system.redis.url, (store) => store.revoke(first.record.id));
    // Both wait until the server has ended what the first key held open.
    await expect
      .poll(() =>
        createClient({ url: system.url, key: first.text })
          .models()
          .catch(({ code }) => code),
      )
      .toBe('UNAUTHENTICATED');
    system.workers[0]!.resume();
    for (const stream of streams) {
      const statuses: string[] = [];
      for await (const { status } of stream) statuses.push(status);
      expect(statuses.at(-1)).toBe('SUCCEEDED');
    }
  },
);
