import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { readApiKey } from '../state/api-key.ts';
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

test('a person without a key sees the refusal', async () => {
  const { sent, plainFetch } = serve();
  expect((await createKeyFetch(plainFetch, () => undefined)('/graphql')).status).toBe(401);
  expect(sent).toEqual([null]);
});
