/** Who has access, over HTTP; access-matrix.test.ts covers the operations. */

import { accessKeys } from '@inferql/queue/redis/keys';
import { describe, expect, test } from 'vitest';
import { readConfig } from '../../config.ts';
import { bearer, startGuardedServer } from '../callers.ts';
import { MAP, MULTIPART_HEADERS, multipart, OPERATIONS, open, send } from '../http-harness.ts';
import { CLASSIFY, paint, startServer, startWorker } from '../server-harness.ts';

const VIEWER = '{ viewer { tenant key scopes models expiresAt } }';

test('a public address is refused if there is no authentication, unless that is set explicitly', () => {
  for (const HOST of ['0.0.0.0', '::', '192.168.1.5', 'inferql.example', '127.0.0.1.evil.example']) {
    expect(() => readConfig({ HOST }), HOST).toThrow(/INFERQL_AUTH=keys/);
    expect(readConfig({ HOST, INFERQL_AUTH: 'off-and-public' }).auth).toBe('off-and-public');
    expect(readConfig({ HOST, INFERQL_AUTH: 'keys' }).auth).toBe('keys');
  }
  for (const HOST of ['127.0.0.1', '127.8.8.8', 'localhost', '::1']) expect(readConfig({ HOST }).auth).toBe('off');
  expect(() => readConfig({ INFERQL_AUTH: 'maybe' })).toThrow(/INFERQL_AUTH/);
});

test('without authentication every caller is anonymous, whatever it sends', async () => {
  const server = await startServer();
  for (const headers of [{}, bearer('iql_live_nonsense'), { authorization: 'Basic eDp5' }]) {
    expect((await server.query(VIEWER, {}, headers)).data).toEqual({
      viewer: {
        tenant: 'anonymous',
        key: null,
        scopes: ['INFER', 'READ', 'OPERATE', 'TOKENS'],
        models: null,
        expiresAt: null,
      },
    });
  }
});

describe('with keys', () => {
  test('a valid key is accepted, and viewer describes it', async () => {
    const { server, makeKey } = await startGuardedServer();
    const expiresAtMs = Date.now() + 60_000;
    const key = await makeKey({ models: ['tiny'], expiresAtMs });
    expect((await server.query(VIEWER, {}, key.headers)).data).toEqual({
      viewer: {
        tenant: 'alice',
        key: key.id,
        scopes: ['INFER', 'READ'],
        models: ['tiny'],
        expiresAt: new Date(expiresAtMs).toISOString(),
      },
    });
    const lower = { authorization: `bearer ${key.text}` };
    expect((await server.query(VIEWER, {}, lower)).status).toBe(200);
  });

  test('everything else is 401 with its reason, and nothing is read from Redis', async () => {
    const { server, makeKey, store } = await startGuardedServer();
    const good = await makeKey();
    const revoked = await makeKey();
    await store.revoke(revoked.id);
    const expired = await makeKey({ expiresAtMs: Date.now() - 1 });
    const [, environment, id, secret] = good.text.split('_');
    const cases: [string, string | undefined, RegExp][] = [
      ['none', undefined, /requires an API key/],
      ['empty', '', /requires an API key/],
      ['another scheme', `Basic ${good.text}`, /Bearer KEY/],
      ['no scheme', good.text, /Bearer KEY/],
      ['two', `Bearer ${good.text} ${good.text}`, /Bearer KEY/],
      ['too long', `Bearer ${'a'.repeat(10_000)}`, /Bearer KEY/],
      ['mistyped', `Bearer iql_${environment}_${id}_${secret!.slice(1)}a`, /mistyped/],
      ['cut', `Bearer ${good.text.slice(0, -1)}`, /mistyped/],
      ['revoked', `Bearer ${revoked.text}`, /was revoked/],
      ['expired', `Bearer ${expired.text}`, /has expired/],
      ['no key at all', 'Bearer hello', /not an API key/],
      ['an unsigned token', 'Bearer eyJhbGciOiJub25lIn0.eyJ0ZW5hbnQiOiJhbGljZSJ9.', /not an API key/],
    ];
    for (const [name, authorization, reason] of cases) {
      const answer = await server.query(VIEWER, {}, authorization === undefined ? {} : { authorization });
      expect(answer.status, name).toBe(401);
      expect(answer.headers.get('www-authenticate')).toBe('Bearer');
      expect(answer.errors![0]!.extensions).toEqual({ code: 'UNAUTHENTICATED' });
      expect(answer.errors![0]!.message, name).toMatch(reason);
      expect(answer.data ?? null).toBeNull();
    }
  });

  test('the right text for the wrong record is refused', async () => {
    const { server, makeKey, store } = await startGuardedServer();
    const key = await makeKey();
    const other = await makeKey({ tenant: 'bob' });
    await server.redis.hset(`${accessKeys(server.prefix).record}${key.id}`, 'hash', (await store.find(other.id))!.hash);
    const { status, errors } = await server.query(VIEWER, {}, key.headers);
    expect([status, errors![0]!.message]).toEqual([401, 'Unknown API key.']);
  });

  test('the page, its files and the health checks need no key', async () => {
    const { server } = await startGuardedServer();
    expect((await server.fetch('/health/live')).status).toBe(200);
    expect((await server.fetch('/health/ready')).status).toBe(200);
    const graphiql = await server.fetch('/graphql', { headers: { accept: 'text/html' } });
    expect(graphiql.headers.get('content-type')).toContain('text/html');
  });

  test('an upload is refused before the first byte of its body is sent', async () => {
    const { server, makeKey } = await startGuardedServer();
    const url = await open(server);
    const reader = await makeKey({ scopes: ['read'] });
    const body = multipart([
      ['operations', OPERATIONS],
      ['map', MAP],
      ['0', Buffer.alloc(5_000_000), 'a.png'],
    ]);
    for (const [headers, status, code] of [
      [{}, 401, 'UNAUTHENTICATED'],
      [reader.headers, 403, 'FORBIDDEN'],
    ] as const) {
      const { outgoing, answer } = send(url, {
        ...MULTIPART_HEADERS,
        ...headers,
        'content-length': String(body.length),
      });
      outgoing.flushHeaders();
      const { status: given, text } = await answer;
      expect([given, text.includes(code)]).toEqual([status, true]);
      outgoing.destroy();
    }
    await server.uploadDirEmptied();
  });

  test('a key that cannot be checked because Redis is down is UNAVAILABLE, and a recently used one still works', async () => {
    const { server, makeKey } = await startGuardedServer();
    const [known, unknown] = [await makeKey(), await makeKey()];
    await server.query(VIEWER, {}, known.headers);
    server.redis.disconnect();
    expect((await server.query(VIEWER, {}, known.headers)).status).toBe(200);
    const refused = await server.query(VIEWER, {}, unknown.headers);
    expect([refused.status, refused.errors![0]!.extensions!.code]).toEqual([503, 'UNAVAILABLE']);
  });

  test('another page may send a key only if its origin is allowed', async () => {
    const { server } = await startGuardedServer({ env: { INFERQL_CORS_ORIGINS: 'https://friend.test' } });
    const preflight = await server.fetch('/graphql', {
      method: 'OPTIONS',
      headers: {
        origin: 'https://friend.test',
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,x-graphql-yoga-csrf',
      },
    });
    expect(preflight.status).toBe(204);
    expect(preflight.headers.get('access-control-allow-headers')).toContain('authorization');
  });
});

describe('the models that a key may use', () => {
  test('are the only ones that it sees', async () => {
    const { server, makeKey } = await startGuardedServer({ env: { INFERQL_DEFAULT_MODEL: 'tiny' } });
    await startWorker(server.prefix);
    await startWorker(server.prefix, { name: 'other' });
    const all = await makeKey();
    const other = await makeKey({ models: ['other'] });
    const names = async (headers: Record<string, string>) =>
      (
        await server.query<{ models: { name: string; isDefault: boolean }[] }>(
          '{ models { name isDefault } }',
          {},
          headers,
        )
      ).data.models;
    expect(await names(all.headers)).toEqual([
      { name: 'other', isDefault: false },
      { name: 'tiny', isDefault: true },
    ]);
    expect(await names(other.headers)).toEqual([{ name: 'other', isDefault: true }]);
    const seen = await server.query(
      '{ model(name: "tiny") { name } queue(model: "tiny") { waiting } }',
      {},
      other.headers,
    );
    expect(seen.data).toEqual({ model: null, queue: null });
    const classify = (headers: Record<string, string>, model?: string) =>
      server
        .upload<{ classifyImage: { __typename: string; id: string } }>(CLASSIFY, ['not decoded'], { model }, headers)
        .then(({ data }) => data.classifyImage.__typename);
    expect(await classify(other.headers, 'tiny')).toBe('ModelNotFoundError');
    expect(await classify(all.headers, 'tiny')).toBe('InvalidImageError');
    const { data } = await server.upload<{ classifyImage: { id: string } }>(
      CLASSIFY,
      [await paint(7)],
      {},
      all.headers,
    );
    const { id } = data.classifyImage;
    const READ = 'query ($id: ID!) { prediction(id: $id) { id } }';
    expect((await server.query(READ, { id }, all.headers)).data).toEqual({ prediction: { id } });
    expect((await server.query(READ, { id }, other.headers)).data).toEqual({ prediction: null });
    const own = await server.upload<{ classifyImage: { id: string } }>(CLASSIFY, [await paint(8)], {}, other.headers);
    expect(own.data.classifyImage.id).toMatch(/^other\./);
  });
});

test('counts over all tenants are for operators', async () => {
  const { server, makeKey } = await startGuardedServer();
  await startWorker(server.prefix);
  const QUEUE = '{ queue { waiting ended { succeeded } deadLetters } }';
  const operator = await makeKey({ scopes: ['read', 'operate'] });
  expect((await server.query(QUEUE, {}, operator.headers)).data).toEqual({
    queue: { waiting: 0, ended: { succeeded: 0 }, deadLetters: 0 },
  });
  expect((await server.query(QUEUE, {}, (await makeKey()).headers)).data).toEqual({
    queue: { waiting: 0, ended: null, deadLetters: null },
  });
});
