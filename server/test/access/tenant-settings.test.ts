/** Limits and weights that an operator sets for one tenant, as its requests meet them. */
import { createTenantStore } from '@inferql/queue/access/tenant-store';
import { expect, test } from 'vitest';
import { startGuardedServer } from '../callers.ts';
import { ENQUEUE, paint, startWorker } from '../server-harness.ts';

interface Viewed {
  viewer: { limits: { owner: string; limit: number }[] };
}

async function setUp() {
  const { server, makeKey } = await startGuardedServer({ env: { INFERQL_TENANT_LIMITS: '1images/day' } });
  await startWorker(server.prefix, {}, { idle: true });
  const tenants = createTenantStore(server.redis, { prefix: server.prefix });
  const key = await makeKey();
  return {
    server,
    makeKey,
    tenants,
    headers: key.headers,
    upload: async (headers = key.headers) => (await server.upload(ENQUEUE, [await paint(1)], {}, headers)).status,
    limits: async (headers = key.headers) => {
      const { data } = await server.query<Viewed>('{ viewer { limits { owner limit } } }', {}, headers);
      return data.viewer.limits.map(({ owner, limit }) => `${owner} ${limit}`);
    },
  };
}

test('they replace the server’s, at once, for that tenant alone, until they are reset', async () => {
  const { tenants, makeKey, limits, upload } = await setUp();
  const bob = await makeKey({ tenant: 'bob' });
  expect(await upload()).toBe(200);
  expect(await upload()).toBe(429);
  await tenants.set('alice', { limits: '3images/day' });
  await expect.poll(() => limits()).toEqual(['tenant 3']);
  // What was taken before counts.
  expect([await upload(), await upload(), await upload()]).toEqual([200, 200, 429]);
  expect(await limits(bob.headers)).toEqual(['tenant 1']);
  await tenants.set('alice', { limits: '' });
  await expect.poll(() => limits()).toEqual([]);
  expect(await upload()).toBe(200);
  await tenants.reset('alice');
  await expect.poll(() => limits()).toEqual(['tenant 1']);
  expect(await upload()).toBe(429);
});

test('they apply besides those of a key and its tokens', async () => {
  const { server, tenants, makeKey, limits } = await setUp();
  await tenants.set('alice', { limits: '5images/day' });
  const key = await makeKey({ limits: '2images/day', scopes: ['infer', 'tokens'] });
  await expect.poll(() => limits(key.headers)).toEqual(['tenant 5', 'key 2']);
  const { data } = await server.query<{ createToken: { token: string } }>(
    'mutation { createToken(scopes: [INFER]) { token } }',
    {},
    key.headers,
  );
  expect(await limits({ authorization: `Bearer ${data.createToken.token}` })).toEqual(['tenant 5', 'key 2']);
});

test('a weight that is set replaces that of the keys', async () => {
  const { server, tenants, makeKey, limits, upload } = await setUp();
  await tenants.set('alice', { limits: '9images/day', weight: 4 });
  const heavy = await makeKey({ weight: 50 });
  await expect.poll(() => limits(heavy.headers)).toEqual(['tenant 9']);
  expect(await upload(heavy.headers)).toBe(200);
  expect(await server.redis.hget(`${server.prefix}:{tiny}:weights`, 'alice')).toBe('4');
});
