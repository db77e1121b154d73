/** WebSockets and answers that a test makes up, under fake timers, and a client that uses them. */
import { afterEach, beforeEach, vi } from 'vitest';
import { createClient } from '../client.ts';
import type { Client, Connection } from '../client-types.ts';
import { InferqlError } from '../errors.ts';

/** A WebSocket of a browser whose server is the test. */
export class ScriptedSocket {
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
  authorization: string;
  query: string;
  /** Of the predictions that it asks for. */
  ids: string[];
  signal: AbortSignal;
  answer(response: Response): void;
}

export const asked: Asked[] = [];
export let connections: Connection[];
let client: Client;
/** What the client calls for its key. */
export let caller: { readKey(): string };
export let seen: Record<string, string[]>;

export const isStream = ({ accept }: Asked) => accept === 'text/event-stream';
export const lastSocket = () => ScriptedSocket.made.at(-1)!;
export const lastConnection = () => connections.at(-1);
export const settle = async () => {
  for (let i = 0; i < 20; i++) await vi.advanceTimersByTimeAsync(0);
};
/** A timer that a timer sets fires a millisecond later. */
export const pass = async (ms: number) => {
  await vi.advanceTimersByTimeAsync(ms + 1);
  await settle();
};
export const stateOf = (id: string, status = 'QUEUED') => ({ id, status });
export const dataOf = (id: string, status?: string) => ({ data: { prediction: stateOf(id, status) } });
const idsOf = (variables: Record<string, unknown>) =>
  Object.keys(variables).flatMap((name) => (/^id\d*$/.test(name) ? [String(variables[name])] : []));

beforeEach(() => {
  vi.useFakeTimers();
  asked.length = 0;
  connections = [];
  seen = {};
  caller = { readKey: () => 'secret' };
  ScriptedSocket.made = [];
  vi.stubGlobal('WebSocket', ScriptedSocket);
  // A page of the server.
  vi.stubGlobal('location', { origin: 'http://server' });
  const scriptedFetch = (_url: unknown, { headers, body, signal }: RequestInit = {}) => {
    const { query, variables } = JSON.parse(body as string);
    return new Promise<Response>((answer, reject) => {
      signal!.addEventListener('abort', () => reject(signal!.reason));
      const { accept, authorization } = headers as { accept: string; authorization: string };
      asked.push({ accept, authorization, query, ids: idsOf(variables), signal: signal!, answer });
    });
  };
  client = createClient({
    url: 'http://server',
    key: () => caller.readKey(),
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
export function watch(id: string, options: Parameters<Client['watch']>[1] = {}): () => void {
  return note(id, async (states, signal) => {
    for await (const { status } of client.watch(id, { signal, ...options })) states.push(status);
  });
}

/** Watches a model's queue, and notes how many wait and its end. */
export function watchQueue(model: string): () => void {
  return note(model, async (states, signal) => {
    for await (const { waiting } of client.watchQueue(model, { signal })) states.push(String(waiting));
  });
}

function note(name: string, follow: (states: string[], signal: AbortSignal) => Promise<void>): () => void {
  const states: string[] = [];
  seen[name] = states;
  const stop = new AbortController();
  void (async () => {
    try {
      await follow(states, stop.signal);
      states.push('end');
    } catch (error) {
      if (!stop.signal.aborted) states.push(error instanceof InferqlError ? error.code : String(error));
    }
  })();
  stops.push(() => stop.abort());
  return stops.at(-1)!;
}
const stops: (() => void)[] = [];

export async function refuseSockets(): Promise<void> {
  await settle();
  lastSocket().end();
  await pass(500);
  lastSocket().end();
  await settle();
}

/** The answer to a request, as a browser gives it: aborting the request ends it. */
export function openStream({ signal }: Asked) {
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
export async function answerPolls(status?: string): Promise<string[][]> {
  const polls = asked.filter((each) => !isStream(each));
  asked.splice(0, asked.length, ...asked.filter(isStream));
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
