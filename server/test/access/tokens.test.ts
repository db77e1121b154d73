/** Browser tokens, created with keys. */
import { subscribeSse } from '@inferql/testing/system/graphql-client';
import { expect, test } from 'vitest';
import { bearer, startGuardedServer } from '../callers.ts';
import { open } from '../http-harness.ts';
import { startServer, startWorker } from '../server-harness.ts';

interface Made {
  createToken: { token: string; scopes: string[]; models: string[] | null; expiresAt: string };
}

const CREATE = `mutation ($scopes: [Scope!]!, $models: [String!], $ttl: Int) {
  createToken(scopes: $scopes, models: $models, ttlSeconds: $ttl) { token scopes models expiresAt }
}`;
const VIEWER = '{ viewer { tenant key scopes models } }';

test('a token acts for its key, and can do no more than it was granted', async () => {
  const { server, makeKey } = await startGuardedServer();
  await startWorker(server.prefix);
  await startWorker(server.prefix, { name: 'other' });
  const key = await makeKey({ scopes: ['infer', 'read', 'tokens'] });
  const before = Date.now();
  const { data } = await server.query<Made>(CREATE, { scopes: ['READ'], models: ['tiny'], ttl: 60 }, key.headers);
  const { token, expiresAt } = data.createToken;
  expect(token).toMatch(/^iqt_live_/);
  expect(Date.parse(expiresAt) - before).toBeGreaterThanOrEqual(59_000);
  expect(Date.parse(expiresAt) - before).toBeLessThan(120_000);
  expect((await server.query(VIEWER, {}, bearer(token))).data).toEqual({
    viewer: { tenant: 'alice', key: key.id, scopes: ['READ'], models: ['tiny'] },
  });
  expect((await server.query('{ models { name } }', {}, bearer(token))).data).toEqual({ models: [{ name: 'tiny' }] });
  for (const query of [
    'mutation { cancelPrediction(id: "x") { id } }',
    'mutation { createToken(scopes: [READ]) { token } }',
  ]) {
    expect((await server.query(query, {}, bearer(token))).status).toBe(403);
  }
});

test.each([
  ['a scope that the key has not', { scopes: ['OPERATE'] }, 403, 'FORBIDDEN'],
  ['the right to make tokens', { scopes: ['READ', 'TOKENS'] }, 403, 'FORBIDDEN'],
  ['a model that the key may not use', { scopes: ['READ'], models: ['other'] }, 403, 'FORBIDDEN'],
  ['no scope', { scopes: [] }, 200, 'INVALID_INPUT'],
  ['no time', { scopes: ['READ'], ttl: 0 }, 200, 'INVALID_INPUT'],
  ['too much time', { scopes: ['READ'], ttl: 86_401 }, 200, 'INVALID_INPUT'],
])('a token with %s is refused', async (_name, variables, status, code) => {
  const { server, makeKey } = await startGuardedServer();
  const key = await makeKey({ scopes: ['read', 'tokens'], models: ['tiny'] });
  const answer = await server.query(CREATE, variables, key.headers);
  expect([answer.status, answer.errors![0]!.extensions!.code]).toEqual([status, code]);
});

test('it ends before its key or with it, and so do its subscriptions', async () => {
  const { server, makeKey, store } = await startGuardedServer();
  await startWorker(server.prefix);
  const url = await open(server);
  const key = await makeKey({ scopes: ['read', 'tokens'], expiresAtMs: Date.now() + 3_600_000 });
  const make = async (ttl: number) =>
    (await server.query<Made>(CREATE, { scopes: ['READ'], ttl }, key.headers)).data.createToken;
  const watch = (token: string) =>
    subscribeSse<object>(url, { query: 'subscription { queue { waiting } }' }, undefined, bearer(token));

  expect(Date.parse((await make(86_400)).expiresAt)).toBeLessThanOrEqual(Date.now() + 3_600_000);
  const short = watch((await make(3)).token);
  const begun = short.next();
  const long = await make(600);
  const kept = watch(long.token);
  await Promise.all([begun, kept.next()]);
  // The queue may be reported again before that.
  const endOf = async (events: typeof short) => {
    for await (const { errors } of events) if (errors) return errors[0]!.message;
    return 'no error';
  };
  expect(await endOf(short)).toContain('has expired');
  await store.revoke(key.id);
  expect(await endOf(kept)).toContain('was revoked');
  expect((await server.query(VIEWER, {}, bearer(long.token))).status).toBe(401);
});

test('callers without a key cannot create one', async () => {
  const server = await startServer();
  const answer = await server.query(CREATE, { scopes: ['READ'] });
  expect([answer.status, answer.errors![0]!.extensions!.code]).toEqual([403, 'FORBIDDEN']);
});
