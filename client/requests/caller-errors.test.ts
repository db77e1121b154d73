/** Errors that happen before a request: the caller's functions throw, or no header can have what they return. */
import { expect, test, vi } from 'vitest';
import { createClient } from '../client.ts';
import type { ClientOptions } from '../client-types.ts';
import { InferqlError } from '../errors.ts';
import { photo } from './scripted-server.fixture.ts';

/** A client whose server has no model, and what the server got. */
function connect(options: ClientOptions) {
  const keys: (string | null)[] = [];
  const fetchScripted: typeof fetch = async (_url, init) => {
    keys.push(new Headers(init?.headers).get('authorization'));
    return Response.json({ data: { models: [] } });
  };
  const onRetry = vi.fn();
  return { client: createClient({ fetch: fetchScripted, onRetry, ...options }), keys, onRetry };
}

/** The errors of a query, an upload and a subscription. */
function callAll({ client }: ReturnType<typeof connect>): Promise<unknown[]> {
  const calls = [client.models(), client.classify(photo), client.watch('m.1').next()];
  return Promise.all(
    calls.map((call) =>
      call.then(
        () => undefined,
        (error: unknown) => error,
      ),
    ),
  );
}

test.each(['key', 'headers'])(
  'an error of the function for `%s` is thrown unchanged and not retried',
  async (option) => {
    const error = new Error('signed out');
    const connected = connect({ [option]: () => Promise.reject(error) });
    expect(await callAll(connected)).toEqual([error, error, error]);
    expect(connected.onRetry).not.toHaveBeenCalled();
    expect(connected.keys).toEqual([]);
  },
);

test('a function for the key that throws UNREACHABLE is called again', async () => {
  const readKey = vi
    .fn(() => 'good')
    .mockImplementationOnce(() => {
      throw new InferqlError('UNREACHABLE', 'The identity provider is busy.');
    });
  const { client, keys, onRetry } = connect({ key: readKey });
  expect(await client.models()).toEqual([]);
  expect(keys).toEqual(['Bearer good']);
  expect(onRetry).toHaveBeenCalledTimes(1);
});

test.each(['“secret”', 'secret…', 'sec\nret'])(
  'the key %j, which no header can have, is UNAUTHENTICATED',
  async (key) => {
    const connected = connect({ key });
    const errors = await callAll(connected);
    for (const error of errors) expect(error).toMatchObject({ code: 'UNAUTHENTICATED' });
    expect(String(errors)).not.toContain('sec');
    expect(connected.onRetry).not.toHaveBeenCalled();
    expect(connected.keys).toEqual([]);
  },
);

test('spaces and line breaks around a key are not sent', async () => {
  const { client, keys } = connect({ key: ' secret\n' });
  await client.models();
  expect(keys).toEqual(['Bearer secret']);
});

test('a header that is not valid is a TypeError', async () => {
  const connected = connect({ headers: { 'x-name': '“Ada”' } });
  for (const error of await callAll(connected)) expect(error).toBeInstanceOf(TypeError);
  expect(connected.onRetry).not.toHaveBeenCalled();
});
