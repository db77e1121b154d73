import { describe, expect, test, vi } from 'vitest';
import { createClient } from '../client.ts';
import {
  asked,
  caller,
  connections,
  dataOf,
  lastConnection,
  lastSocket,
  pass,
  ScriptedSocket,
  seen,
  settle,
  watch,
} from './scripted-transports.fixture.ts';

test('subscriptions share one WebSocket that carries the key, and nothing else is requested', async () => {
  for (const id of ['a', 'b']) watch(id);
  await settle();
  await lastSocket().accept();
  expect(ScriptedSocket.made.map(({ url, protocol }) => [url, protocol])).toEqual([
    ['ws://server/graphql', 'graphql-transport-ws'],
  ]);
  expect(lastSocket().sent[0]).toEqual({ type: 'connection_init', payload: { authorization: 'Bearer secret' } });
  expect(lastSocket().subscribed.map(({ payload }) => payload!.variables.id)).toEqual(['a', 'b']);
  expect(connections).toEqual(['connecting', 'websocket']);
  const [a, b] = lastSocket().subscribed;
  await lastSocket().say({ type: 'next', id: b!.id, payload: dataOf('b', 'SUCCEEDED') });
  await lastSocket().say({ type: 'next', id: a!.id, payload: dataOf('a') });
  expect(seen).toEqual({ a: ['QUEUED'], b: ['SUCCEEDED', 'end'] });
  expect(lastSocket().sent.at(-1)).toEqual({ type: 'complete', id: b!.id });
  await pass(4_000);
  expect(asked).toEqual([]);
});

test('the fragment of a page that is given as the url is left out: a WebSocket does not take it', async () => {
  const client = createClient({ url: 'http://server/#/photos', subscriptions: 'shared' });
  void client.watch('a').next();
  await settle();
  expect(lastSocket().url).toBe('ws://server/graphql');
});

test('a lost connection is opened again, with all subscriptions, and no state is repeated', async () => {
  watch('a');
  await settle();
  await lastSocket().accept();
  await lastSocket().say({ type: 'next', id: lastSocket().subscribed[0]!.id, payload: dataOf('a') });
  lastSocket().end();
  await pass(500);
  await lastSocket().accept();
  expect(ScriptedSocket.made).toHaveLength(2);
  const { id } = lastSocket().subscribed[0]!;
  await lastSocket().say({ type: 'next', id, payload: dataOf('a') });
  await lastSocket().say({ type: 'next', id, payload: dataOf('a', 'PROCESSING') });
  expect(seen.a).toEqual(['QUEUED', 'PROCESSING']);
  expect(connections).toEqual(['connecting', 'websocket', 'connecting', 'websocket']);
});

test('a listener to the connection that throws does not keep it from being opened again, and its error is reported', async () => {
  const reported = vi.fn();
  vi.stubGlobal('reportError', reported);
  const error = new TypeError('the element is gone');
  const client = createClient({
    url: 'http://server',
    subscriptions: 'shared',
    onConnection() {
      throw error;
    },
  });
  const state = client.watch('a').next();
  await settle();
  await lastSocket().accept();
  lastSocket().end();
  await pass(500);
  await lastSocket().accept();
  await lastSocket().say({ type: 'next', id: lastSocket().subscribed[0]!.id, payload: dataOf('a') });
  expect((await state).value).toMatchObject({ status: 'QUEUED' });
  expect(reported.mock.calls).toEqual([[error], [error], [error], [error]]);
});

test('if a connection stays lost, subscriptions end when their time to retry is over', async () => {
  watch('patient', { retryForMs: Number.POSITIVE_INFINITY });
  watch('hasty', { retryForMs: 10_000 });
  await settle();
  await lastSocket().accept();
  lastSocket().end();
  for (let i = 0; i < 20; i++) {
    await pass(1_000);
    if (!lastSocket().isClosed) lastSocket().end();
  }
  expect(seen).toEqual({ patient: [], hasty: ['UNREACHABLE'] });
});

test('a connection that does not answer a ping is closed', async () => {
  watch('a');
  await settle();
  await lastSocket().accept();
  await pass(10_000);
  expect(lastSocket().sent.at(-1)).toEqual({ type: 'ping' });
  await lastSocket().say({ type: 'pong' });
  await pass(10_000);
  expect(lastConnection()).toBe('websocket');
  await pass(5_000);
  expect(lastConnection()).toBe('connecting');
  expect(ScriptedSocket.made[0]!.isClosed).toBe(true);
});

test('a connection that carries other messages before the answer to a ping is kept', async () => {
  watch('a');
  await settle();
  await lastSocket().accept();
  await pass(10_000);
  expect(lastSocket().sent.at(-1)).toEqual({ type: 'ping' });
  for (let late = 0; late < 3; late++) {
    await pass(4_000);
    await lastSocket().say({ type: 'next', id: lastSocket().subscribed[0]!.id, payload: dataOf('a') });
  }
  expect(lastConnection()).toBe('websocket');
});

test('the connection is closed when nothing is watched, and opened for the next subscription', async () => {
  const stop = watch('a');
  await settle();
  await lastSocket().accept();
  stop();
  await pass(5_000);
  expect(lastSocket().isClosed).toBe(true);
  expect(lastConnection()).toBe('idle');
  watch('b');
  await settle();
  await lastSocket().accept();
  expect(ScriptedSocket.made).toHaveLength(2);
  expect(lastConnection()).toBe('websocket');
});

describe('for the first subscription after others have ended, the key is read again', () => {
  const watchLater = async (key: string) => {
    const stop = watch('a');
    await settle();
    await lastSocket().accept();
    stop();
    await settle();
    caller.readKey = () => key;
    for (const id of ['b', 'c']) watch(id);
    await settle();
  };
  const idsOf = (socket: ScriptedSocket) => socket.subscribed.map(({ payload }) => payload!.variables.id);

  test('with another key, the connection is opened again', async () => {
    await watchLater('another');
    const [first, second] = ScriptedSocket.made;
    expect(first!.isClosed).toBe(true);
    expect(lastConnection()).toBe('connecting');
    await second!.accept();
    expect(second!.sent[0]).toEqual({ type: 'connection_init', payload: { authorization: 'Bearer another' } });
    expect([idsOf(first!), idsOf(second!)]).toEqual([['a'], ['b', 'c']]);
    expect(lastConnection()).toBe('websocket');
  });

  test('with the same key, the connection stays', async () => {
    await watchLater('secret');
    expect(ScriptedSocket.made).toHaveLength(1);
    expect(idsOf(lastSocket())).toEqual(['a', 'b', 'c']);
    expect(lastConnection()).toBe('websocket');
  });

  test('with another key before the first one was accepted, the connection is opened again', async () => {
    const stop = watch('a');
    await settle();
    lastSocket().onopen?.();
    await settle();
    stop();
    await settle();
    caller.readKey = () => 'another';
    watch('b');
    await settle();
    await lastSocket().accept();
    expect(lastSocket().sent[0]).toEqual({ type: 'connection_init', payload: { authorization: 'Bearer another' } });
    expect(idsOf(lastSocket())).toEqual(['b']);
  });

  test('the error of a function for it ends the subscription', async () => {
    const stop = watch('a');
    await settle();
    await lastSocket().accept();
    stop();
    await settle();
    caller.readKey = () => {
      throw new Error('signed out');
    };
    watch('b');
    await settle();
    expect(seen.b).toEqual(['Error: signed out']);
  });
});

test('an error of a subscription affects only that subscription: a refusal ends it, another is retried', async () => {
  watch('gone');
  watch('waits');
  await settle();
  await lastSocket().accept();
  const [gone, waits] = lastSocket().subscribed;
  const errors = (code: string) => [{ message: 'no', extensions: { code } }];
  await lastSocket().say({ type: 'next', id: gone!.id, payload: { data: null, errors: errors('NOT_FOUND') } });
  await lastSocket().say({ type: 'error', id: waits!.id, payload: errors('UNAVAILABLE') });
  await pass(500);
  const again = lastSocket().subscribed.at(-1)!;
  expect(again.payload!.variables.id).toBe('waits');
  await lastSocket().say({ type: 'next', id: again.id, payload: dataOf('waits', 'CANCELED') });
  expect(seen).toEqual({ gone: ['NOT_FOUND'], waits: ['CANCELED', 'end'] });
});
