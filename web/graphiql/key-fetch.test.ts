import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { keepApiKey, readApiKey } from '../state/api-key.ts';
import { createKeyFetch } from './key-fetch.ts';

beforeEach(() => {
  const kept = new Map<string, string>();
  vi.stubGlobal('sessionStorage', {
    getItem: (name: string) => kept.get(name) ?? null,
    setItem: (name: string, value: string) => kept.set(name, value),
    removeItem: (name: string) => kept.delete(name),
  });
});
afterEach(() => {
  vi.unstubAllGlobals();
});

/** A server that requires the key `good`, and the requests it got. */
function serve() {
  const sent: (string | null)[] = [];
  const plainFetch: typeof fetch = async (_input, init) => {
    const authorization = new Headers(init?.headers).get('authorization');
    sent.push(authorization);
    return new Response(null, { status: authorization === 'Bearer good' ? 200 : 401 });
  };
  return { sent, plainFetch };
}

test('the key is asked for once, kept, and sent from then on', async () => {
  const { sent, plainFetch } = serve();
  const ask = vi.fn(() => 'good');
  const keyFetch = createKeyFetch(plainFetch, ask);
  const statuses = await Promise.all([keyFetch('/graphql'), keyFetch('/graphql')]);
  expect(statuses.map(({ status }) => status)).toEqual([200, 200]);
  expect((await keyFetch('/graphql', { headers: { accept: 'x' } })).status).toBe(200);
  expect(ask).toHaveBeenCalledTimes(1);
  expect(sent).toEqual([null, null, 'Bearer good', 'Bearer good', 'Bearer good']);
  expect(readApiKey()).toBe('good');
});

test('a header that the person set wins, and no key is asked for', async () => {
  const { sent, plainFetch } = serve();
  const ask = vi.fn(() => 'good');
  const answer = await createKeyFetch(plainFetch, ask)('/graphql', { headers: { Authorization: 'Bearer mine' } });
  expect([answer.status, sent, ask.mock.calls.length]).toEqual([401, ['Bearer mine'], 0]);
});

/** A server whose operations need a scope that only the key `operator` has. */
function serveOperators() {
  const sent: (string | null)[] = [];
  const plainFetch: typeof fetch = async (_input, init) => {
    const authorization = new Headers(init?.headers).get('authorization');
    sent.push(authorization);
    if (authorization === 'Bearer operator') return Response.json({ data: {} });
    const errors = [{ message: 'This needs the scope operate.', extensions: { code: 'FORBIDDEN' } }];
    return Response.json({ errors }, { status: 403 });
  };
  return { sent, plainFetch };
}

test('a key that no header can have is asked for again', async () => {
  const { sent, plainFetch } = serve();
  const ask = vi.fn(() => 'good').mockReturnValueOnce('“good”');
  expect((await createKeyFetch(plainFetch, ask)('/graphql')).status).toBe(200);
  expect(ask.mock.calls).toEqual([[undefined], ['This key has characters that no key can have.']]);
  expect(sent).toEqual([null, 'Bearer good']);
});

test('if the key of the tab lacks a scope, another one is asked for with the reason', async () => {
  keepApiKey('reader');
  const { sent, plainFetch } = serveOperators();
  const ask = vi.fn(() => 'operator');
  const keyFetch = createKeyFetch(plainFetch, ask);
  const statuses = await Promise.all([keyFetch('/graphql'), keyFetch('/graphql')]);
  expect(statuses.map(({ status }) => status)).toEqual([200, 200]);
  expect(ask.mock.calls).toEqual([['This needs the scope operate.']]);
  expect(sent).toEqual(['Bearer reader', 'Bearer reader', 'Bearer operator', 'Bearer operator']);
});

test.each([undefined, 'reader'])('a person who keeps the key (%s) is asked once', async (answer) => {
  keepApiKey('reader');
  const { plainFetch } = serveOperators();
  const ask = vi.fn(() => answer);
  const keyFetch = createKeyFetch(plainFetch, ask);
  for (let i = 0; i < 3; i++) expect((await keyFetch('/graphql')).status).toBe(403);
  expect(ask).toHaveBeenCalledTimes(1);
  expect(readApiKey()).toBe('reader');
});

test('without a key, and for the refusal of a proxy, no key is asked for', async () => {
  const ask = vi.fn(() => 'operator');
  expect((await createKeyFetch(serveOperators().plainFetch, ask)('/graphql')).status).toBe(403);
  keepApiKey('reader');
  const blocked: typeof fetch = async () => new Response('<h1>no</h1>', { status: 403 });
  expect((await createKeyFetch(blocked, ask)('/graphql')).status).toBe(403);
  expect(ask).not.toHaveBeenCalled();
});

test('a person without a key sees the refusal', async () => {
  const { sent, plainFetch } = serve();
  expect((await createKeyFetch(plainFetch, () => undefined)('/graphql')).status).toBe(401);
  expect(sent).toEqual([null]);
});
