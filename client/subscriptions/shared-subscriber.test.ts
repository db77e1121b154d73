/** How subscriptions change between a WebSocket, event streams and polls. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildSchema, parse, validate } from 'graphql';
import { describe, expect, test, vi } from 'vitest';
import { InferqlError } from '../errors.ts';
import {
  answerPolls,
  asked,
  caller,
  dataOf,
  isStream,
  lastConnection,
  lastSocket,
  openStream,
  pass,
  refuseSockets,
  seen,
  settle,
  stateOf,
  watch,
  watchQueue,
} from './scripted-transports.fixture.ts';

const schema = buildSchema(readFileSync(join(import.meta.dirname, '../../schema.graphql'), 'utf8'));

test('without a WebSocket there are three event streams, and the rest is polled together', async () => {
  for (const id of ['a', 'b', 'c', 'd', 'e', 'f']) watch(id);
  await refuseSockets();
  expect(asked.filter(isStream).map(({ ids, query }) => [ids, /\w+ \w+/.exec(query)![0]])).toEqual(
    ['a', 'b', 'c'].map((id) => [[id], 'subscription Watch']),
  );
  expect(lastConnection()).toBe('connecting');
  const stream = openStream(asked[0]!);
  asked[0]!.answer(stream.response);
  stream.next(dataOf('a'));
  expect(await answerPolls()).toEqual([['d', 'e', 'f']]);
  expect(lastConnection()).toBe('event-stream');
  expect(seen.a).toEqual(['QUEUED']);
  expect(seen.f).toEqual(['QUEUED']);
  // Once per second, and what has not changed is not repeated.
  await pass(1_000);
  expect(await answerPolls()).toEqual([['d', 'e', 'f']]);
  expect(seen.d).toEqual(['QUEUED']);
  await pass(1_000);
  await answerPolls('SUCCEEDED');
  expect(seen.d).toEqual(['QUEUED', 'SUCCEEDED', 'end']);
});

test('a WebSocket that the browser forbids is replaced, too', async () => {
  const forbid = vi.fn(function forbid() {
    throw new DOMException('An insecure WebSocket connection may not be initiated.', 'SecurityError');
  });
  vi.stubGlobal('WebSocket', forbid);
  for (const id of ['a', 'b']) watch(id);
  await pass(500);
  expect(forbid).toHaveBeenCalledTimes(2);
  expect(asked.map(({ ids }) => ids)).toEqual([['a'], ['b']]);
  expect(seen).toEqual({ a: [], b: [] });
});

test('hundreds of polled predictions are each read every second, ten per request and two requests at a time', async () => {
  vi.stubGlobal('WebSocket', undefined);
  const ids = Array.from({ length: 203 }, (_, index) => `p.${index}`);
  for (const id of ids) watch(id);
  await settle();
  const rounds: string[][] = [];
  for (;;) {
    expect(asked.filter((each) => !isStream(each)).length).toBeLessThanOrEqual(2);
    const round = await answerPolls();
    if (round.length === 0) break;
    rounds.push(...round);
  }
  expect(rounds).toHaveLength(20);
  expect(rounds.flat().sort()).toEqual(ids.slice(3).sort());
});

test('one query for several predictions is valid, and gives each its state or its error', async () => {
  vi.stubGlobal('WebSocket', undefined);
  for (const id of ['x', 'y', 'z', 'a', 'b', 'c']) watch(id);
  await settle();
  const [poll] = asked.filter((each) => !isStream(each));
  expect(validate(schema, parse(poll!.query))).toEqual([]);
  poll!.answer(
    new Response(
      JSON.stringify({
        data: { p0: stateOf('a'), p1: null, p2: null },
        errors: [{ message: 'no', path: ['p2'], extensions: { code: 'FORBIDDEN' } }],
      }),
    ),
  );
  await settle();
  expect(seen).toMatchObject({ a: ['QUEUED'], b: ['NOT_FOUND'], c: ['FORBIDDEN'] });
});

test('a server that allows fewer aliases is asked for each prediction separately', async () => {
  vi.stubGlobal('WebSocket', undefined);
  for (const id of ['x', 'y', 'z', 'a', 'b']) watch(id);
  await settle();
  const [poll] = asked.filter((each) => !isStream(each));
  const refusal = { errors: [{ message: 'Aliases limit of 1 exceeded', extensions: { code: 'BAD_REQUEST' } }] };
  asked.splice(asked.indexOf(poll!), 1);
  poll!.answer(new Response(JSON.stringify(refusal), { status: 400 }));
  await settle();
  expect(await answerPolls()).toEqual([['a'], ['b']]);
  expect(seen).toMatchObject({ a: ['QUEUED'], b: ['QUEUED'] });
});

test('the polled queue of an unknown model ends as its subscription does', async () => {
  vi.stubGlobal('WebSocket', undefined);
  for (const id of ['x', 'y', 'z']) watch(id);
  watchQueue('unknown');
  await settle();
  const [poll] = asked.filter((each) => !isStream(each));
  poll!.answer(new Response(JSON.stringify({ data: { queue: null } })));
  await settle();
  expect(seen.unknown).toEqual(['MODEL_NOT_FOUND']);
});

test('an ended stream makes room for the next subscription', async () => {
  const [stopA] = ['a', 'b', 'c'].map((id) => watch(id));
  await refuseSockets();
  stopA!();
  await settle();
  expect(asked[0]!.signal.aborted).toBe(true);
  watch('d');
  await settle();
  expect(asked.filter(isStream).flatMap(({ ids }) => ids)).toEqual(['a', 'b', 'c', 'd']);
});

test.each([
  ['is held back', 4_000, () => {}],
  [
    'gets the page of a proxy',
    0,
    () => asked[0]!.answer(new Response('<h1>no</h1>', { status: 403, headers: { 'content-type': 'text/html' } })),
  ],
])('everything is polled if an event stream %s', async (_what, afterMs, answer) => {
  for (const id of ['a', 'b']) watch(id);
  await refuseSockets();
  answer();
  await pass(afterMs);
  expect(asked.filter(isStream).every(({ signal }) => signal.aborted)).toBe(true);
  expect(await answerPolls()).toEqual([['a', 'b']]);
  expect(lastConnection()).toBe('polling');
  expect(seen).toEqual({ a: ['QUEUED'], b: ['QUEUED'] });
});

test.each([
  ['a gateway says that the server is down', () => asked[0]!.answer(new Response('away', { status: 502 }))],
  [
    'the line breaks',
    () => {
      const stream = openStream(asked[0]!);
      asked[0]!.answer(stream.response);
      stream.end();
    },
  ],
])('a stream is retried if %s', async (_what, end) => {
  watch('a');
  await refuseSockets();
  end();
  await pass(1_000);
  expect(seen.a).toEqual([]);
  expect(lastConnection()).toBe('connecting');
  expect(asked.filter(isStream)).toHaveLength(2);
});

test('a silent stream is abandoned, comments keep it', async () => {
  watch('a');
  await refuseSockets();
  const stream = openStream(asked[0]!);
  asked[0]!.answer(stream.response);
  stream.next(dataOf('a'));
  for (let i = 0; i < 4; i++) {
    await pass(12_000);
    stream.push(':\n\n');
  }
  expect(lastConnection()).toBe('event-stream');
  expect(asked.filter(isStream)).toHaveLength(1);
  await pass(30_000);
  await pass(1_000);
  expect(asked.filter(isStream)).toHaveLength(2);
});

test('running subscriptions return to a WebSocket that opens later, and do not notice', async () => {
  watch('a');
  await refuseSockets();
  const stream = openStream(asked[0]!);
  asked[0]!.answer(stream.response);
  stream.next(dataOf('a'));
  await settle();
  expect(lastConnection()).toBe('event-stream');
  await pass(4_000);
  await lastSocket().accept();
  expect(lastConnection()).toBe('websocket');
  expect(asked[0]!.signal.aborted).toBe(true);
  const { id } = lastSocket().subscribed[0]!;
  await lastSocket().say({ type: 'next', id, payload: dataOf('a', 'SUCCEEDED') });
  expect(seen.a).toEqual(['QUEUED', 'SUCCEEDED', 'end']);
});

test.each(['the WebSocket', 'event streams'])(
  'a key that %s refuses ends all subscriptions, and is not sent in any other way',
  async (by) => {
    for (const id of ['a', 'b']) watch(id);
    await settle();
    if (by === 'the WebSocket') {
      lastSocket().onopen?.();
      await settle();
      lastSocket().end(4401);
    } else {
      await refuseSockets();
      const text = JSON.stringify({ errors: [{ message: 'no', extensions: { code: 'UNAUTHENTICATED' } }] });
      const headers = { 'content-type': 'application/json' };
      for (const { answer } of asked) answer(new Response(text, { status: 401, headers }));
      asked.length = 0;
    }
    await pass(60_000);
    expect(seen).toEqual({ a: ['UNAUTHENTICATED'], b: ['UNAUTHENTICATED'] });
    expect(asked).toEqual([]);
    expect(lastConnection()).toBe('idle');
  },
);

describe.each([
  ['ends subscriptions with its error', () => new Error('signed out'), ['Error: signed out']],
  ['is called again after UNREACHABLE', () => new InferqlError('UNREACHABLE', 'busy'), []],
])('a function for the key that throws %s', (_what, makeError, end) => {
  const fail = () => {
    throw makeError();
  };

  test('over a WebSocket', async () => {
    caller.readKey = fail;
    watch('a');
    await settle();
    lastSocket().onopen?.();
    await settle();
    expect(seen.a).toEqual(end);
    caller.readKey = () => 'secret';
    watch('b');
    await pass(500);
    await lastSocket().accept();
    const ids = lastSocket().subscribed.map(({ payload }) => payload!.variables.id);
    expect(ids).toEqual(end.length > 0 ? ['b'] : ['a', 'b']);
  });

  test('over event streams and polls', async () => {
    vi.stubGlobal('WebSocket', undefined);
    caller.readKey = fail;
    const ids = ['a', 'b', 'c', 'polled'];
    for (const id of ids) watch(id);
    await pass(1_000);
    expect(seen).toEqual(Object.fromEntries(ids.map((id) => [id, end])));
    expect(asked).toEqual([]);
    caller.readKey = () => 'secret';
    await pass(2_000);
    expect(asked.flatMap((each) => each.ids).sort()).toEqual(end.length > 0 ? [] : ids);
  });
});
