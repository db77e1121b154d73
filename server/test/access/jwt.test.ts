/** Tokens of an identity provider, whose published keys come from a real server. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { subscribeSse } from '@inferql/testing/system/graphql-client';
import { createClient } from 'graphql-ws';
import { exportJWK, generateKeyPair, type JWK, type JWTHeaderParameters, type JWTPayload, SignJWT } from 'jose';
import { afterEach, describe, expect, test, vi } from 'vitest';
import WebSocket from 'ws';
import { readConfig } from '../../config.ts';
import { bearer, openKeys } from '../callers.ts';
import { open } from '../http-harness.ts';
import { atEnd, ENQUEUE, paint, startServer, startWorker } from '../server-harness.ts';
import { collect, type StreamedAnswer } from '../subscriptions.ts';

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

const ISSUER = 'https://id.example';
const AUDIENCE = 'inferql';

type PrivateKey = Awaited<ReturnType<typeof generateKeyPair>>['privateKey'];

/** Publishes keys and signs tokens with them. */
async function startProvider() {
  const published: JWK[] = [];
  let isDown = false;
  let requests = 0;
  const server = createServer((_request, response) => {
    requests++;
    response.writeHead(isDown ? 503 : 200, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ keys: published }));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  async function addKey(kid: string, alg = 'ES256'): Promise<PrivateKey> {
    const { privateKey, publicKey } = await generateKeyPair(alg);
    published.push({ ...(await exportJWK(publicKey)), kid, alg });
    return privateKey;
  }
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks.json`,
    addKey,
    published,
    requests: () => requests,
    setDown(down: boolean) {
      isDown = down;
    },
  };
}

const CLAIMS = { iss: ISSUER, aud: AUDIENCE, tenant: 'alice', scope: 'openid infer read' };
const inSeconds = (seconds: number) => Math.floor(Date.now() / 1_000) + seconds;

function sign(key: PrivateKey | Uint8Array, claims: JWTPayload = {}, header: Partial<JWTHeaderParameters> = {}) {
  const payload = { ...CLAIMS, exp: inSeconds(300), ...claims };
  const given = Object.fromEntries(Object.entries(payload).filter(([, value]) => value !== undefined));
  return new SignJWT(given).setProtectedHeader({ alg: 'ES256', kid: 'one', ...header }).sign(key);
}

async function startTrustingServer(env: Record<string, string> = {}) {
  const provider = await startProvider();
  const key = await provider.addKey('one');
  const server = await startServer({
    env: {
      INFERQL_AUTH: 'jwt',
      INFERQL_JWKS_URL: provider.url,
      INFERQL_JWT_ISSUER: ISSUER,
      INFERQL_JWT_AUDIENCE: AUDIENCE,
      ...env,
    },
  });
  const ask = (token: string) =>
    server.query<{ viewer: object }>('{ viewer { tenant key scopes models expiresAt } }', {}, bearer(token));
  return { provider, key, server, ask };
}

test('a token says whose it is, what it may do and until when', async () => {
  const { key, ask, server } = await startTrustingServer();
  const exp = inSeconds(300);
  const { status, data } = await ask(await sign(key, { exp, models: ['tiny'] }));
  expect([status, data.viewer]).toEqual([
    200,
    {
      tenant: 'alice',
      key: null,
      scopes: ['INFER', 'READ'],
      models: ['tiny'],
      expiresAt: new Date(exp * 1_000).toISOString(),
    },
  ]);
  await startWorker(server.prefix);
  const token = await sign(key);
  expect((await server.upload(ENQUEUE, [await paint(1)], {}, bearer(token))).status).toBe(200);
});

test('claims may have other names and forms', async () => {
  const { key, ask } = await startTrustingServer({
    INFERQL_JWT_TENANT_CLAIM: 'org.id',
    INFERQL_JWT_SCOPES_CLAIM: 'https://inferql.example/roles',
  });
  const claims = {
    tenant: 'mallory',
    scope: 'operate',
    org: { id: 'acme' },
    'https://inferql.example/roles': ['inferql:read', 'tokens', 'admin', 7],
    models: 5 as never,
  };
  expect((await ask(await sign(key, claims))).data.viewer).toMatchObject({
    tenant: 'acme',
    scopes: ['READ'],
    models: [],
  });
});

describe('refused', () => {
  test('is every token that is not entirely valid', async () => {
    const { key, ask, provider } = await startTrustingServer();
    const { privateKey: foreign } = await generateKeyPair('ES256');
    const rsa = await provider.addKey('rsa', 'RS512');
    const [header, payload, signature] = (await sign(key)).split('.');
    const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const none = `${encode({ alg: 'none' })}.${payload}.`;
    const publicKey = Buffer.from(JSON.stringify(provider.published[0]));
    const cases: [string, string | Promise<string>, RegExp][] = [
      ['expired', sign(key, { exp: inSeconds(-60) }), /has expired/],
      ['without an end', sign(key, { exp: undefined as never }), /'exp'/],
      ['not valid yet', sign(key, { nbf: inSeconds(120) }), /'nbf'/],
      ['replayed from another service', sign(key, { aud: 'billing' }), /'aud'/],
      ['replayed from another issuer', sign(key, { iss: 'https://evil.example' }), /'iss'/],
      ['without a tenant', sign(key, { tenant: undefined }), /'tenant'/],
      ['of a tenant that is not a name', sign(key, { tenant: 'a b' }), /'tenant'/],
      ['of the callers without a name', sign(key, { tenant: 'anonymous' }), /'tenant'/],
      ['of a tenant that is not text', sign(key, { tenant: { toString: 'alice' } as never }), /'tenant'/],
      ['signed by another', sign(foreign), /invalid/],
      ['of an unknown key', sign(foreign, {}, { kid: 'two' }), /invalid/],
      [
        'of an algorithm that is not allowed',
        sign(rsa, {}, { alg: 'RS512', kid: 'rsa' }),
        /algorithm that is not allowed/,
      ],
      ['of none', none, /algorithm that is not allowed|invalid/],
      [
        'signed with the public key as a secret',
        sign(publicKey, {}, { alg: 'HS256' }),
        /algorithm that is not allowed/,
      ],
      [
        'with its payload changed',
        `${header}.${encode({ ...CLAIMS, tenant: 'bob', exp: inSeconds(99) })}.${signature}`,
        /invalid/,
      ],
      ['with its signature cut', `${header}.${payload}.${signature!.slice(0, -4)}`, /invalid/],
      ['without a signature', `${header}.${payload}`, /invalid/],
      ['no token at all', 'hello', /invalid/],
      ['an API key', 'iql_live_AAAAAAAA_x', /invalid/],
    ];
    for (const [name, token, reason] of cases) {
      const { status, errors } = await ask(await token);
      expect([status, errors?.[0]?.extensions], name).toEqual([401, { code: 'UNAUTHENTICATED' }]);
      expect(errors![0]!.message, name).toMatch(reason);
    }
  });

  test('is one that expired longer ago than clocks may differ', async () => {
    const { key, ask } = await startTrustingServer();
    expect((await ask(await sign(key, { exp: inSeconds(-2) }))).status).toBe(200);
    expect((await ask(await sign(key, { exp: inSeconds(-10) }))).status).toBe(401);
  });
});

test('a token that was accepted before is refused once it has expired', async () => {
  const { key, ask } = await startTrustingServer();
  const token = await sign(key, { exp: inSeconds(60) });
  expect((await ask(token)).status).toBe(200);
  vi.useFakeTimers({ now: Date.now() + 70_000, toFake: ['Date'] });
  const { status, errors } = await ask(token);
  expect([status, errors![0]!.message]).toEqual([401, 'The token has expired.']);
});

test('while clocks may differ, a token that has expired also opens subscriptions and WebSockets', async () => {
  const { key, server, ask } = await startTrustingServer();
  await startWorker(server.prefix);
  const url = await open(server);
  const exp = inSeconds(60);
  const token = await sign(key, { exp });
  const query = 'subscription { queue { waiting } }';
  vi.useFakeTimers({ now: exp * 1_000 + 4_900, toFake: ['Date'] });
  const leaving = new AbortController();
  const events = subscribeSse<object>(url, { query }, leaving.signal, bearer(token));
  atEnd(() => leaving.abort());
  const data = { queue: { waiting: 0 } };
  expect((await events.next()).value).toEqual({ data });
  const client = createClient({
    url: `${url.replace('http', 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    connectionParams: bearer(token),
    retryAttempts: 0,
  });
  atEnd(() => client.dispose());
  const socketEvents = client.iterate({ query });
  expect((await socketEvents.next()).value).toEqual({ data });
  expect((await ask(token)).data.viewer).toMatchObject({ expiresAt: new Date(exp * 1_000).toISOString() });
  vi.setSystemTime(exp * 1_000 + 5_000);
  const rest: object[] = [];
  for await (const event of events) rest.push(event);
  expect(JSON.stringify(rest)).toContain('The token has expired.');
  await expect(collect(socketEvents as AsyncIterable<StreamedAnswer>)).rejects.toMatchObject({ code: 4401 });
  expect((await ask(token)).status).toBe(401);
});

test('a token that was accepted before is refused once the provider has withdrawn its key', async () => {
  const { provider, key, ask } = await startTrustingServer();
  const token = await sign(key, { exp: inSeconds(3_600) });
  expect((await ask(token)).status).toBe(200);
  provider.published.length = 0;
  const next = await provider.addKey('two');
  // By both clocks: the list of keys is fetched again, and what was checked is forgotten.
  const realNow = performance.now.bind(performance);
  vi.spyOn(performance, 'now').mockImplementation(() => realNow() + 11 * 60_000);
  vi.useFakeTimers({ now: Date.now() + 11 * 60_000, toFake: ['Date'] });
  expect((await ask(token)).status).toBe(401);
  expect((await ask(await sign(next, { exp: inSeconds(3_600) }, { kid: 'two' }))).status).toBe(200);
});

test('keys are read once, and again when the provider has a new one', async () => {
  const { provider, key, ask } = await startTrustingServer();
  for (let i = 0; i < 5; i++) expect((await ask(await sign(key, { jti: String(i) }))).status).toBe(200);
  expect(provider.requests()).toBe(1);
  const next = await provider.addKey('two');
  // Unknown keys do not make the server fetch the list each time.
  expect((await ask(await sign(next, {}, { kid: 'two' }))).status).toBe(401);
  expect(provider.requests()).toBe(1);
  vi.useFakeTimers({ now: Date.now() + 31_000, toFake: ['Date'] });
  expect((await ask(await sign(next, {}, { kid: 'two' }))).status).toBe(200);
  expect((await ask(await sign(key, { jti: 'old' }))).status).toBe(200);
  expect(provider.requests()).toBe(2);
});

test('while the provider is down, a token that must be checked is UNAVAILABLE and one that was checked still works', async () => {
  const { provider, key, ask } = await startTrustingServer();
  provider.setDown(true);
  const refused = await ask(await sign(key));
  expect([refused.status, refused.errors![0]!.extensions!.code]).toEqual([503, 'UNAVAILABLE']);
  expect(refused.errors![0]!.message).not.toContain('127.0.0.1');
  provider.setDown(false);
  const token = await sign(key);
  expect((await ask(token)).status).toBe(200);
  provider.setDown(true);
  expect((await ask(token)).status).toBe(200);
});

test('keys and tokens side by side', async () => {
  const { key, ask, server } = await startTrustingServer({ INFERQL_AUTH: 'keys+jwt' });
  const apiKey = await openKeys(server).makeKey({ tenant: 'bob' });
  expect((await ask(apiKey.text)).data.viewer).toMatchObject({ tenant: 'bob', key: apiKey.id });
  expect((await ask(await sign(key))).data.viewer).toMatchObject({ tenant: 'alice', key: null });
});

test('a server that could not check tokens fully does not start', () => {
  const whole = {
    INFERQL_AUTH: 'jwt',
    INFERQL_JWKS_URL: 'https://id.example/jwks',
    INFERQL_JWT_ISSUER: ISSUER,
    INFERQL_JWT_AUDIENCE: AUDIENCE,
  };
  expect(readConfig(whole).jwtAlgorithms).toEqual(['RS256', 'ES256', 'EdDSA']);
  for (const [name, value] of [
    ['INFERQL_JWKS_URL', ''],
    ['INFERQL_JWKS_URL', 'http://id.example/jwks'],
    ['INFERQL_JWKS_URL', 'https://id.example:port/jwks'],
    ['INFERQL_JWT_ISSUER', ''],
    ['INFERQL_JWT_AUDIENCE', ''],
    ['INFERQL_JWT_ALGORITHMS', 'none'],
    ['INFERQL_JWT_ALGORITHMS', 'RS256,HS256'],
    ['INFERQL_JWT_ALGORITHMS', ','],
  ] as const) {
    expect(() => readConfig({ ...whole, [name]: value }), `${name}=${value}`).toThrow(name);
  }
});
