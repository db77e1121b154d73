/** The ways of subscriptions, over WebSockets and answers that the tests make up. */
import type { ExecutionResult } from '@urql/core';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { createLive, type Live } from './live.ts';
import type { LiveRequest } from './request.ts';

/** A WebSocket of a browser whose server is the test. */
class ScriptedSocket extends EventTarget {
  static readonly OPEN = 1;
  static readonly CLOSING = 2;
  static made: ScriptedSocket[] = [];
  readonly sent: { type: string; id?: string }[] = [];
  readyState = 0;
  onopen = () => {};
  onclose = (_event: object) => {};
  onmessage = (_event: { data: string }) => {};

  constructor() {
    super();
    ScriptedSocket.made.push(this);
  }
  send(text: string) {
    this.sent.push(JSON.parse(text));
  }
  close(code = 1006) {
    this.readyState = 3;
    this.onclose({ code, reason: '', wasClean: false });
  }
  async accept() {
    this.readyState = ScriptedSocket.OPEN;
    this.onopen();
    await vi.advanceTimersByTimeAsync(0);
    this.tell({ type: 'connection_ack' });
    await vi.advanceTimersByTimeAsync(0);
  }
  tell(message: object) {
    this.onmessage({ data: JSON.stringify(message) });
  }
  get subscribed() {
    return this.sent.filter(({ type }) => type === 'subscribe');
  }
}

interface Asked {
  accept: string;
  query: string;
  id: string;
  signal: AbortSignal;
  answer(response: Response): void;
}

let asked: Asked[];
let refusals: number;
let live: Live;
let told: Record<string, (ExecutionResult | string)[]>;

const isStream = ({ accept }: Asked) => accept === 'text/event-stream';
const lastSocket = () => ScriptedSocket.made.at(-1)!;
const settle = () => vi.advanceTimersByTimeAsync(0);
const dataOf = (id: string, status = 'QUEUED') => ({ data: { prediction: { id, status } } });

beforeEach(() => {
  vi.useFakeTimers();
  asked = [];
  refusals = 0;
  told = {};
  ScriptedSocket.made = [];
  vi.stubGlobal('WebSocket', ScriptedSocket);
  vi.stubGlobal('fetch', (_url: string, { headers, body, signal }: RequestInit) => {
    const { query, variables } = JSON.parse(body as string);
    return new Promise<Response>((answer, reject) => {
      signal!.addEventListener('abort', () => reject(signal!.reason));
      asked.push({
        accept: (headers as Record<string, string>).accept!,
        query,
        id: variables.id,
        signal: signal!,
        answer,
      });
    });
  });
  live = createLive('http://server', { authorization: {}, onRefused: () => refusals++ });
});

afterEach(() => {
  vi.unstubAllGlobals();
  vi.useRealTimers();
});

function follow(id: string): () => void {
  const results: (ExecutionResult | string)[] = [];
  told[id] = results;
  const request: LiveRequest = { subscription: 'subscription X', query: 'query X', variables: { id } };
  return live.subscribe(request, {
    next: (result) => results.push(result),
    error: () => results.push('error'),
    complete: () => results.push('complete'),
  });
}

async function refuseSockets(): Promise<void> {
  for (let i = 0; i < 2; i++) {
    await vi.advanceTimersByTimeAsync(500);
    lastSocket().close();
  }
  await settle();
}

function openStream() {
  let push = (_text: string) => {};
  let end = () => {};
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      push = (text) => controller.enqueue(new TextEncoder().encode(text));
      end = () => controller.close();
    },
  });
  const response = new Response(body, { headers: { 'content-type': 'text/event-stream' } });
  return { response, next: (result: object) => push(`event: next\ndata: ${JSON.stringify(result)}\n\n`), push, end };
}

async function answerPolls(): Promise<string[]> {
  const polls = asked.filter((each) => !isStream(each));
  asked = asked.filter(isStream);
  for (const { id, answer } of polls) answer(new Response(JSON.stringify(dataOf(id))));
  await settle();
  return polls.map(({ id }) => id);
}

test('subscriptions go over a WebSocket that opens, and nothing else is asked', async () => {
  follow('a');
  await settle();
  await lastSocket().accept();
  expect(live.getConnection()).toBe('open');
  expect(lastSocket().subscribed).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(4_000);
  expect(asked).toEqual([]);
});

test('without a WebSocket there are three event streams, and the rest is polled, two at a time', async () => {
  for (const id of ['a', 'b', 'c', 'd', 'e', 'f']) follow(id);
  await refuseSockets();
  expect(asked.filter(isStream).map(({ id, query }) => [id, query])).toEqual(
    ['a', 'b', 'c'].map((id) => [id, 'subscription X']),
  );
  expect(asked.filter((each) => !isStream(each)).map(({ id, query }) => [id, query])).toEqual(
    ['d', 'e'].map((id) => [id, 'query X']),
  );
  expect(live.getConnection()).toBe('connecting');
  const stream = openStream();
  asked[0]!.answer(stream.response);
  stream.next(dataOf('a'));
  expect(await answerPolls()).toEqual(['d', 'e']);
  expect(await answerPolls()).toEqual(['f']);
  expect(live.getConnection()).toBe('events');
  expect(told.a).toEqual([dataOf('a')]);
  expect(told.f).toEqual([dataOf('f')]);
  // Once a second, and what has not changed is not told again.
  await vi.advanceTimersByTimeAsync(1_000);
  expect(await answerPolls()).toEqual(['d', 'e']);
  expect(told.d).toHaveLength(1);
});

test('an ended stream leaves its place to the next subscription', async () => {
  const [stopA] = ['a', 'b', 'c'].map(follow);
  await refuseSockets();
  stopA!();
  expect(asked[0]!.signal.aborted).toBe(true);
  follow('d');
  await settle();
  expect(asked.filter(isStream).map(({ id }) => id)).toEqual(['a', 'b', 'c', 'd']);
});

test.each([
  ['is held back', 4_000, () => {}],
  [
    'gets the page of a proxy',
    0,
    () => asked[0]!.answer(new Response('<h1>no</h1>', { status: 403, headers: { 'content-type': 'text/html' } })),
  ],
])('everything is polled where an event stream %s', async (_what, afterMs, answer) => {
  for (const id of ['a', 'b']) follow(id);
  await refuseSockets();
  answer();
  await vi.advanceTimersByTimeAsync(afterMs);
  expect(asked.filter(isStream).every(({ signal }) => signal.aborted)).toBe(true);
  expect(await answerPolls()).toEqual(['a', 'b']);
  expect(live.getConnection()).toBe('polling');
  expect(told).toEqual({ a: [dataOf('a')], b: [dataOf('b')] });
});

test.each([
  ['a gateway says that the server is away', () => asked[0]!.answer(new Response('away', { status: 502 }))],
  [
    'the line breaks',
    () => {
      const stream = openStream();
      asked[0]!.answer(stream.response);
      stream.end();
    },
  ],
])('a stream is tried again when %s', async (_what, end) => {
  follow('a');
  await refuseSockets();
  end();
  await settle();
  expect(told.a).toEqual(['error']);
  expect(live.getConnection()).toBe('connecting');
  follow('a');
  await settle();
  expect(asked.filter(isStream)).toHaveLength(2);
});

test('a stream that falls silent is given up, comments keep it', async () => {
  follow('a');
  await refuseSockets();
  const stream = openStream();
  asked[0]!.answer(stream.response);
  stream.next(dataOf('a'));
  for (let i = 0; i < 4; i++) {
    await vi.advanceTimersByTimeAsync(12_000);
    stream.push(':\n\n');
  }
  expect(live.getConnection()).toBe('events');
  await vi.advanceTimersByTimeAsync(30_000);
  expect(told.a).toEqual([dataOf('a'), 'error']);
  expect(live.getConnection()).toBe('connecting');
});

test('running subscriptions go back to a WebSocket that opens at last, and do not notice', async () => {
  follow('a');
  await refuseSockets();
  const stream = openStream();
  asked[0]!.answer(stream.response);
  stream.next(dataOf('a'));
  await settle();
  expect(live.getConnection()).toBe('events');
  await vi.advanceTimersByTimeAsync(4_000);
  await lastSocket().accept();
  expect(live.getConnection()).toBe('open');
  expect(asked[0]!.signal.aborted).toBe(true);
  const { id } = lastSocket().subscribed[0]!;
  lastSocket().tell({ type: 'next', id, payload: dataOf('a', 'SUCCEEDED') });
  expect(told.a).toEqual([dataOf('a'), dataOf('a', 'SUCCEEDED')]);
});

test('a polled prediction that the server does not know is an error, as it is for a subscription', async () => {
  follow('a');
  await refuseSockets();
  await vi.advanceTimersByTimeAsync(4_000);
  asked.at(-1)!.answer(new Response(JSON.stringify({ data: { prediction: null } })));
  await settle();
  expect(told.a).toMatchObject([{ errors: [{ extensions: { code: 'NOT_FOUND' } }] }]);
});

test('a key that is refused is reported once', async () => {
  for (const id of ['a', 'b']) follow(id);
  await refuseSockets();
  const text = JSON.stringify({ errors: [{ message: 'no', extensions: { code: 'UNAUTHENTICATED' } }] });
  for (const { answer } of asked) {
    answer(new Response(text, { status: 401, headers: { 'content-type': 'application/json' } }));
  }
  await settle();
  expect(refusals).toBe(1);
  expect(told.a).toMatchObject([{ errors: [{}] }, 'complete']);
});

test('a key that the WebSocket refuses is reported once, and shown in no other way', async () => {
  follow('a');
  await settle();
  lastSocket().readyState = ScriptedSocket.OPEN;
  lastSocket().onopen();
  await settle();
  lastSocket().close(4401);
  await vi.advanceTimersByTimeAsync(60_000);
  follow('b');
  await settle();
  expect(refusals).toBe(1);
  expect(told.a).toEqual(['error']);
  expect(asked).toEqual([]);
});
