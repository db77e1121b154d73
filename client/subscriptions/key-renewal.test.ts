/** Subscriptions whose key the server does not accept anymore, while the caller has another one. */
import { beforeEach, describe, expect, test, vi } from 'vitest';
import {
  asked,
  caller,
  connections,
  dataOf,
  lastConnection,
  lastSocket,
  openStream,
  ScriptedSocket,
  seen,
  settle,
  watch,
} from './scripted-transports.fixture.ts';

const REFUSAL = { errors: [{ message: 'The token has expired.', extensions: { code: 'UNAUTHENTICATED' } }] };
const keyOf = ({ sent }: ScriptedSocket) => sent[0]!.payload;
const idsOf = ({ subscribed }: ScriptedSocket) => subscribed.map(({ payload }) => payload!.variables.id);

/** Returns these keys one after the other, then the last one again. */
function giveKeys(...keys: string[]) {
  const readKey = vi.fn(() => (keys.length > 1 ? keys.shift()! : keys[0]!));
  caller.readKey = readKey;
  return readKey;
}

describe('over a shared WebSocket', () => {
  const watchBoth = async () => {
    for (const id of ['a', 'b']) watch(id, { retryForMs: 0 });
    await settle();
    await lastSocket().accept();
    for (const { id, payload } of lastSocket().subscribed) {
      await lastSocket().say({ type: 'next', id, payload: dataOf(payload!.variables.id) });
    }
  };

  test.each([
    ['closes the connection', () => lastSocket().end(4401)],
    [
      'ends a subscription',
      () => lastSocket().say({ type: 'next', id: lastSocket().subscribed[0]!.id, payload: REFUSAL }),
    ],
    [
      'refuses a subscription',
      () => lastSocket().say({ type: 'error', id: lastSocket().subscribed[0]!.id, payload: REFUSAL.errors }),
    ],
  ])('all subscriptions continue with the next key if the server %s', async (_how, refuse) => {
    const readKey = giveKeys('old', 'new');
    await watchBoth();
    await refuse();
    await settle();
    const [first, second] = ScriptedSocket.made;
    expect(first!.isClosed).toBe(true);
    expect(lastConnection()).toBe('connecting');
    await second!.accept();
    expect(keyOf(second!)).toEqual({ authorization: 'Bearer new' });
    expect(readKey).toHaveBeenCalledTimes(2);
    expect(idsOf(second!)).toEqual(['a', 'b']);
    for (const { id, payload } of second!.subscribed) {
      await second!.say({ type: 'next', id, payload: dataOf(payload!.variables.id) });
      await second!.say({ type: 'next', id, payload: dataOf(payload!.variables.id, 'SUCCEEDED') });
    }
    expect(seen).toEqual({ a: ['QUEUED', 'SUCCEEDED', 'end'], b: ['QUEUED', 'SUCCEEDED', 'end'] });
    expect(connections).toEqual(['connecting', 'websocket', 'connecting', 'websocket']);
  });

  test('they end if it is the same key', async () => {
    await watchBoth();
    lastSocket().end(4401);
    await settle();
    expect(seen).toEqual({ a: ['QUEUED', 'UNAUTHENTICATED'], b: ['QUEUED', 'UNAUTHENTICATED'] });
    expect(ScriptedSocket.made).toHaveLength(1);
  });

  test('they end if the next key is refused, too, even if there is a third one', async () => {
    giveKeys('old', 'new', 'newest');
    await watchBoth();
    lastSocket().end(4401);
    await settle();
    lastSocket().onopen?.();
    await settle();
    expect(keyOf(lastSocket())).toEqual({ authorization: 'Bearer new' });
    lastSocket().end(4401);
    await settle();
    expect(seen).toEqual({ a: ['QUEUED', 'UNAUTHENTICATED'], b: ['QUEUED', 'UNAUTHENTICATED'] });
  });

  test('each key that was accepted may be replaced', async () => {
    giveKeys('1', '2', '3');
    await watchBoth();
    for (const key of ['2', '3']) {
      lastSocket().end(4401);
      await settle();
      await lastSocket().accept();
      expect(keyOf(lastSocket())).toEqual({ authorization: `Bearer ${key}` });
    }
    expect(seen).toEqual({ a: ['QUEUED'], b: ['QUEUED'] });
  });

  test('they end with the error of the function for the key', async () => {
    await watchBoth();
    caller.readKey = () => {
      throw new Error('signed out');
    };
    lastSocket().end(4401);
    await settle();
    expect(seen).toEqual({ a: ['QUEUED', 'Error: signed out'], b: ['QUEUED', 'Error: signed out'] });
  });

  test('the next subscription waits for nothing if all have ended before the key is known', async () => {
    const stop = watch('a');
    await settle();
    await lastSocket().accept();
    caller.readKey = () => new Promise(() => {}) as never;
    lastSocket().end(4401);
    await settle();
    stop();
    await settle();
    caller.readKey = () => 'new';
    watch('b');
    await settle();
    await lastSocket().accept();
    expect([keyOf(lastSocket()), idsOf(lastSocket())]).toEqual([{ authorization: 'Bearer new' }, ['b']]);
  });
});

describe('over an event stream', () => {
  beforeEach(() => vi.stubGlobal('WebSocket', undefined));

  const answerWith = async (...results: object[]) => {
    await settle();
    const stream = openStream(asked.at(-1)!);
    asked.at(-1)!.answer(stream.response);
    for (const result of results) stream.next(result);
    await settle();
  };

  test('a subscription continues with the next key', async () => {
    const readKey = giveKeys('old', 'new');
    watch('a', { retryForMs: 0 });
    await answerWith(dataOf('a'), REFUSAL);
    expect(asked.map(({ authorization }) => authorization)).toEqual(['Bearer old', 'Bearer new']);
    expect(readKey).toHaveBeenCalledTimes(2);
    await answerWith(dataOf('a'), dataOf('a', 'SUCCEEDED'));
    expect(seen.a).toEqual(['QUEUED', 'SUCCEEDED', 'end']);
  });

  test('it ends if it is the same key, or if the next one is refused, too', async () => {
    giveKeys('old');
    watch('a');
    await answerWith(dataOf('a'), REFUSAL);
    giveKeys('old', 'new', 'newest');
    watch('b');
    await answerWith(dataOf('b'), REFUSAL);
    await answerWith(REFUSAL);
    expect(seen).toEqual({ a: ['QUEUED', 'UNAUTHENTICATED'], b: ['QUEUED', 'UNAUTHENTICATED'] });
    expect(asked.map(({ authorization }) => authorization)).toEqual(['Bearer old', 'Bearer old', 'Bearer new']);
  });
});
