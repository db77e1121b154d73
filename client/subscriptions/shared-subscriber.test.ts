/** The carriers of subscriptions, over WebSockets and answers that the tests make up. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildSchema, parse, validate } from 'graphql';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Client, Connection } from '../api.ts';
import { createClient } from '../client.ts';
import { InferqlError } from '../errors.ts';

/** A WebSocket of a browser whose server is the test. */
class ScriptedSocket {
  static made: ScriptedSocket[] = [];
  readonly sent: { type: string; id?: string; payload?: { query: string; variables: { id: string } } }[] = [];
  readonly url: string;
  readonly protocol: string;
  isClosed = false;
  onopen: (() => void) | null = null;
  onclose: ((event: { code: number }) => void) | null = null;
  onmessage: ((event: { data: string }) => void) | null = null;

  constructor(url: string, protocol: string) {
    this.url = url;
    this.protocol = protocol;
    ScriptedSocket.made.push(this);
  }
  send(text: string) {
    this.sent.push(JSON.parse(text));
  }
  close() {
    this.isClosed = true;
  }
  /** The connection ends, or could not be opened. */
  end(code = 1006) {
    this.isClosed = true;
    this.onclose?.({ code });
  }
  async accept() {
    this.onopen?.();
    await settle();
    await this.say({ type: 'connection_ack' });
  }
  async say(message: object) {
    this.onmessage?.({ data: JSON.stringify(message) });
    await settle();
  }
  get subscribed() {
    return this.sent.filter(({ type }) => type === 'subscribe');
  }
}

interface Asked {
  accept: string;
  query: string;
  /** Of the predictions that it asks for. */
  ids: string[];
  signal: AbortSignal;
  answer(response: Response): void;
}

let asked: Asked[];
let connections: Connection[];
let client: Client;
let seen: Record<string, string[]>;

const schema = buildSchema(readFileSync(join(import.meta.dirname, '../../schema.graphql'), 'utf8'));
const isStream = ({ accept }: Asked) => accept === 'text/event-stream';
const lastSocket = () => ScriptedSocket.made.at(-1)!;
const lastConnection = () => connections.at(-1);
const settle = async () => {
  for (let i = 0; i < 20; i++) await vi.advanceTimersByTimeAsync(0);
};
/** A timer that a timer sets fires a millisecond later. */
const pass = async (ms: number) => {
  await vi.advanceTimersByTimeAsync(ms + 1);
  await settle();
};
const stateOf = (id: string, status = 'QUEUED') => ({ id, status });
const dataOf = (id: string, status?: string) => ({ data: { prediction: stateOf(id, status) } });
const idsOf = (variables: Record<string, unknown>) =>
  Object.keys(variables).flatMap((name) => (/^id\d*$/.test(name) ? [String(variables[name])] : []));

beforeEach(() => {
  vi.useFakeTimers();
  asked = [];
  connections = [];
  seen = {};
  ScriptedSocket.made = [];
  vi.stubGlobal('WebSocket', ScriptedSocket);
  const scriptedFetch = (_url: unknown, { headers, body, signal }: RequestInit = {}) => {
    const { query, variables } = JSON.parse(body as string);
    return new Promise<Response>((answer, reject) => {
      signal!.addEventListener('abort', () => reject(signal!.reason));
      const { accept } = headers as { accept: string };
      asked.push({ accept, query, ids: idsOf(variables), signal: signal!, answer });
    });
  };
  client = createClient({
    url: 'http://server',
    key: 'secret',
    subscriptions: 'shared',
    onConnection: (connection) => connections.push(connection),
    fetch: scriptedFetch as typeof fetch,
    retryForMs: 60_000,
  });
});

afterEach(async () => {
  for (const stop of stops.splice(0)) stop();
  await pass(2_000);
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

/** Watches a prediction, and notes its states and its end. */
function watch(id: string, options: Parameters<Client['watch']>[1] = {}): () => void {
  const states: string[] = [];
  seen[id] = states;
  const stop = new AbortController();
  void (async () => {
    try {
      for await (const { status } of client.watch(id, { signal: stop.signal, ...options })) states.push(status);
      states.push('end');
    } catch (error) {
      if (!stop.signal.aborted) states.push(error instanceof InferqlError ? error.code : String(error));
    }
  })();
  stops.push(() => stop.abort());
  return stops.at(-1)!;
}
const stops: (() => void)[] = [];

async function refuseSockets(): Promise<void> {
  await settle();
  lastSocket().end();
  await pass(500);
  lastSocket().end();
  await settle();
}

/** The answer to a request, as a browser gives it: aborting the request ends it. */
function openStream({ signal }: Asked) {
  let push = (_text: string) => {};
  let end = () => {};
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      push = (text) => controller.enqueue(new TextEncoder().encode(text));
      end = () => controller.close();
      signal.addEventListener('abort', () => controller.error(signal.reason));
    },
  });
  const response = new Response(body, { headers: { 'content-type': 'text/event-stream' } });
  return { response, next: (result: object) => push(`event: next\ndata: ${JSON.stringify(result)}\n\n`), push, end };
}

/** @returns the ids that each request asked for */
async function answerPolls(status?: string): Promise<string[][]> {
  const polls = asked.filter((each) => !isStream(each));
  asked = asked.filter(isStream);
  for (const { ids, answer } of polls) {
    const data =
      ids.length === 1
        ? dataOf(ids[0]!, status).data
        : Object.fromEntries(ids.map((id, index) => [`p${index}`, stateOf(id, status)]));
    answer(new Response(JSON.stringify({ data })));
  }
  await settle();
  return polls.map(({ ids }) => ids);
}

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

test('an error of a subscription affects that one alone: a refusal ends it, another is retried', async () => {
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
  asked = asked.filter(isStream);
  poll!.answer(new Response(JSON.stringify(refusal), { status: 400 }));
  await settle();
  expect(await answerPolls()).toEqual([['a'], ['b']]);
  expect(seen).toMatchObject({ a: ['QUEUED'], b: ['QUEUED'] });
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
  ['a gateway says that the server is away', () => asked[0]!.answer(new Response('away', { status: 502 }))],
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
      asked = [];
    }
    await pass(60_000);
    expect(seen).toEqual({ a: ['UNAUTHENTICATED'], b: ['UNAUTHENTICATED'] });
    expect(asked).toEqual([]);
    expect(lastConnection()).toBe('idle');
  },
);
