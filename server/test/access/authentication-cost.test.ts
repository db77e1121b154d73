/** What it costs to identify a caller, as counts: times depend on the machine. */
import * as crypto from 'node:crypto';
import type { KeyRecord } from '@inferql/queue/access/api-keys';
import { NO_LIMITS } from '@inferql/queue/access/limit-rules';
import { expect, test, vi } from 'vitest';
import { Authenticator } from '../../access/authenticate.ts';
import { createKeyCache } from '../../access/key-cache.ts';
import { createReadCache } from '../../access/read-cache.ts';
import { bearer, startGuardedServer } from '../callers.ts';

vi.mock('node:crypto', async (load) => {
  const real = await load<typeof crypto>();
  return { ...real, createHash: vi.fn(real.createHash) };
});

const REQUESTS = 1_000;

test('a thousand requests with one key read Redis once for the key and once for its tenant, and hash the key once', async () => {
  const { store, makeKey } = await startGuardedServer();
  const { text } = await makeKey();
  const reads = { keys: 0, tenants: 0 };
  const authenticator = new Authenticator({
    mode: 'keys',
    keys: createKeyCache({
      find(id): Promise<KeyRecord | null> {
        reads.keys++;
        return store.find(id);
      },
    }),
    tenants: createReadCache(async () => {
      reads.tenants++;
      return null;
    }),
    tenantRules: NO_LIMITS,
    addressRules: NO_LIMITS,
    onKeyUsed: () => undefined,
    jwt: undefined,
    custom: undefined,
  });
  const shown = { ...bearer(text), address: '127.0.0.1', header: () => undefined };
  try {
    const digests = vi.mocked(crypto.createHash);
    digests.mockClear();
    const callers = await Promise.all(Array.from({ length: REQUESTS }, () => authenticator.authenticate(shown)));
    expect(new Set(callers.map(({ tenant }) => tenant))).toEqual(new Set(['alice']));
    expect(reads).toEqual({ keys: 1, tenants: 1 });
    expect(digests).toHaveBeenCalledTimes(REQUESTS);
    // What is mistyped is found by its checksum: neither Redis nor a digest is needed.
    await expect(authenticator.authenticate({ ...shown, ...bearer(`${text.slice(0, -1)}_`) })).rejects.toMatchObject({
      code: 'UNAUTHENTICATED',
    });
    expect([reads.keys, digests.mock.calls.length]).toEqual([1, REQUESTS]);
    // Read again when it is five seconds old.
    const nowMs = performance.now();
    vi.spyOn(performance, 'now').mockReturnValue(nowMs + 5_000);
    await authenticator.authenticate(shown);
    expect(reads).toEqual({ keys: 2, tenants: 2 });
  } finally {
    vi.restoreAllMocks();
  }
});

test('an authenticated request sends no command to Redis while its key is cached', async () => {
  const { server, makeKey } = await startGuardedServer();
  const { headers } = await makeKey();
  const ask = () => server.query<{ viewer: { tenant: string } }>('{ viewer { tenant scopes } }', {}, headers);
  // The message of the new key, which makes the server read it again, has arrived before this answer on the same connection.
  await server.subscriber.ping();
  await ask();
  const sent = vi.spyOn(server.redis, 'sendCommand');
  const startedAt = performance.now();
  for (let i = 0; i < 50; i++) expect((await ask()).data.viewer.tenant).toBe('alice');
  // Others are the server's, which may still be looking for models.
  const reads = sent.mock.calls.filter(
    ([{ name, args }]) => /get/i.test(name) && String(args[0]).includes(':access}:'),
  );
  // Two for each time that it got too old, on a machine that is that slow.
  expect(reads.length).toBeLessThanOrEqual(2 * Math.floor((performance.now() - startedAt) / 5_000 + 0.1));
  sent.mockRestore();
});
