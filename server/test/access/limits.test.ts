/** Limits of callers, through a whole server. queue/access/rate-limiter.test.ts tests the step. */
import { describe, expect, test } from 'vitest';
import { readConfig } from '../../config.ts';
import { startGuardedServer } from '../callers.ts';
import { open } from '../http-harness.ts';
import { type Answer, uploadRequest } from '../requests.ts';
import { CLASSIFY, ENQUEUE, paint, type Server, startServer, startWorker } from '../server-harness.ts';

interface Classified {
  classifyImage: { __typename: string; id: string; status: string } | null;
}
interface Viewed {
  viewer: { limits: { owner: string; unit: string; period: string; limit: number; remaining: number; used: number }[] };
}

const VIEWER = '{ viewer { limits { owner unit period limit remaining used } } }';

const codeOf = ({ errors }: Answer<unknown>) => errors?.[0]?.extensions?.code;

async function remaining(server: Server, headers: Record<string, string> = {}): Promise<number[]> {
  const { data } = await server.query<Viewed>(VIEWER, {}, headers);
  return data.viewer.limits.map((limit) => Math.round(limit.remaining));
}

describe('a limit of a tenant', () => {
  test('refuses with 429, the time to wait and what is left, and a refusal takes nothing', async () => {
    const { server, makeKey } = await startGuardedServer({ env: { INFERQL_TENANT_LIMITS: '2images/h' } });
    await startWorker(server.prefix);
    const key = await makeKey();
    const upload = async () => server.upload<Classified>(ENQUEUE, [await paint(1)], {}, key.headers);
    expect((await upload()).status).toBe(200);
    expect((await upload()).status).toBe(200);
    const refused = await upload();
    expect(refused.status).toBe(429);
    const { code, retryAfterMs } = refused.errors![0]!.extensions as { code: string; retryAfterMs: number };
    expect(code).toBe('RATE_LIMITED');
    expect(retryAfterMs).toBeGreaterThan(1_000_000);
    expect(retryAfterMs).toBeLessThanOrEqual(1_800_000);
    expect(Number(refused.headers.get('retry-after'))).toBe(Math.ceil(retryAfterMs / 1_000));
    expect(refused.headers.get('ratelimit-policy')).toBe('"tenant-requests-rate";q=2');
    expect(refused.headers.get('ratelimit')).toMatch(/^"tenant-requests-rate";r=0;t=\d+$/);
    expect(await remaining(server, key.headers)).toEqual([0]);
    const { data } = await server.query<Viewed>(VIEWER, {}, key.headers);
    expect(data.viewer.limits[0]).toMatchObject({ owner: 'tenant', unit: 'IMAGES', period: 'RATE', limit: 2 });
    // It applies to the tenant, whichever key is used, and to no other tenant.
    const second = await makeKey();
    expect(codeOf(await server.upload(ENQUEUE, [await paint(1)], {}, second.headers))).toBe('RATE_LIMITED');
    const bob = await makeKey({ tenant: 'bob' });
    expect((await server.upload(ENQUEUE, [await paint(1)], {}, bob.headers)).status).toBe(200);
  });

  test('counts machine time: images times what the model was measured to take', async () => {
    const { server, makeKey } = await startGuardedServer({
      env: { INFERQL_TENANT_LIMITS: '1ms/h:1000,10000ms/month' },
    });
    await startWorker(server.prefix);
    const key = await makeKey();
    await server.upload(CLASSIFY, [await paint(1)], {}, key.headers);
    // The harness' worker reports 50 ms per image.
    expect(await remaining(server, key.headers)).toEqual([950, 9_950]);
  });

  test('is never exceeded by 64 parallel clients', async () => {
    const { server, makeKey } = await startGuardedServer({ env: { INFERQL_TENANT_LIMITS: '20images/day' } });
    const worker = await startWorker(server.prefix);
    worker.claiming.close();
    const keys = await Promise.all(Array.from({ length: 8 }, () => makeKey()));
    const image = await paint(1);
    const answers = await Promise.all(
      Array.from({ length: 64 }, (_, i) => server.upload<Classified>(ENQUEUE, [image], {}, keys[i % 8]!.headers)),
    );
    expect(answers.filter(({ status }) => status === 200)).toHaveLength(20);
    expect(answers.filter((answer) => codeOf(answer) === 'RATE_LIMITED')).toHaveLength(44);
    expect(await remaining(server, keys[0]!.headers)).toEqual([0]);
  });

  test('does not refuse a request that was accepted before', async () => {
    const { server, makeKey } = await startGuardedServer({ env: { INFERQL_TENANT_LIMITS: '1images/day' } });
    await startWorker(server.prefix);
    const key = await makeKey();
    const upload = async (name: string) =>
      server.upload<Classified>(CLASSIFY, [await paint(1)], { key: name }, key.headers);
    const first = await upload('a');
    expect(codeOf(await upload('b'))).toBe('RATE_LIMITED');
    expect((await upload('a')).data.classifyImage!.id).toBe(first.data.classifyImage!.id);
  });
});

test('a key may have limits besides those of its tenant', async () => {
  const { server, makeKey } = await startGuardedServer({ env: { INFERQL_TENANT_LIMITS: '3images/day' } });
  await startWorker(server.prefix);
  const small = await makeKey({ limits: '1images/day' });
  const large = await makeKey();
  const upload = async (headers: Record<string, string>) => server.upload(ENQUEUE, [await paint(1)], {}, headers);
  expect((await upload(small.headers)).status).toBe(200);
  const refused = await upload(small.headers);
  expect([codeOf(refused), refused.headers.get('ratelimit')?.split(';')[0]]).toEqual([
    'RATE_LIMITED',
    '"key-requests-day"',
  ]);
  expect(await remaining(server, small.headers)).toEqual([2, 0]);
  expect((await upload(large.headers)).status).toBe(200);
});

test('without keys each client address has a separate limit, as far as the proxy is trusted', async () => {
  const server = await startServer({ env: { INFERQL_ADDRESS_LIMITS: '1images/day', INFERQL_TRUST_PROXY: 'loopback' } });
  await startWorker(server.prefix);
  const url = await open(server);
  const image = await paint(1);
  const upload = async (from: string) =>
    (await fetch(`${url}/graphql`, uploadRequest(ENQUEUE, [image], {}, { 'x-forwarded-for': from }))).status;
  expect(await upload('203.0.113.1')).toBe(200);
  expect(await upload('203.0.113.1')).toBe(429);
  expect(await upload('9.9.9.9, 203.0.113.1')).toBe(429);
  expect(await upload('203.0.113.2')).toBe(200);
  // One client may have its whole /64.
  expect(await upload('2001:db8:0:1::1')).toBe(200);
  expect(await upload('2001:db8::1:ffff:0:0:2')).toBe(429);
  expect(await upload('2001:db8:0:2::1')).toBe(200);
});

test('a tenant that is called as callers without a key are is bound as any other', async () => {
  const { server, makeKey } = await startGuardedServer({ env: { INFERQL_MAX_SUBSCRIPTIONS: '1' } });
  await startWorker(server.prefix, { queue: { maxQueueSize: 10 } }, { idle: true });
  const { headers } = await makeKey({ tenant: 'anonymous' });
  const { limits, authenticator } = server.components.access;
  const header = () => undefined;
  const caller = await authenticator.authenticate({ ...headers, address: '127.0.0.1', header });
  limits.hold(caller, 'subscriptions');
  expect(() => limits.hold(caller, 'subscriptions')).toThrow('Too many open subscriptions');
  const kinds: string[] = [];
  for (let red = 1; red <= 10; red++) {
    const { errors } = await server.upload(ENQUEUE, [await paint(red)], {}, headers);
    kinds.push(String(errors?.[0]?.extensions?.code ?? 'ok'));
  }
  expect(kinds).toEqual([...Array(8).fill('ok'), 'QUEUE_FULL', 'QUEUE_FULL']);
});

test('unreadable limits are refused at the start', () => {
  expect(() => readConfig({ INFERQL_TENANT_LIMITS: '5photos/s' })).toThrow(/INFERQL_TENANT_LIMITS is '5photos\/s'/);
  expect(() => readConfig({ INFERQL_ADDRESS_LIMITS: 'lots' })).toThrow(/INFERQL_ADDRESS_LIMITS/);
});

describe('idempotency keys of anonymous callers', () => {
  test('are separate per client: by address, or by the id that it sends', async () => {
    const server = await startServer({ env: { INFERQL_TRUST_PROXY: 'loopback' } });
    await startWorker(server.prefix);
    const url = await open(server);
    const image = await paint(1);
    const upload = async (headers: Record<string, string>, query = ENQUEUE) => {
      const response = await fetch(`${url}/graphql`, uploadRequest(query, [image], { key: 'order-7' }, headers));
      const { data } = (await response.json()) as { data: Classified };
      return data.classifyImage!.id;
    };
    const own = await upload({ 'x-forwarded-for': '203.0.113.1' });
    expect(await upload({ 'x-forwarded-for': '203.0.113.1' })).toBe(own);
    expect(await upload({ 'x-forwarded-for': '203.0.113.2' })).not.toBe(own);
    const named = await upload({ 'x-forwarded-for': '203.0.113.1', 'x-inferql-client': 'a random text' });
    expect(named).not.toBe(own);
    expect(await upload({ 'x-forwarded-for': '203.0.113.9', 'x-inferql-client': 'a random text' })).toBe(named);
  });
});
