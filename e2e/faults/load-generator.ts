import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type GraphqlError, openSocket, type Socket, send, subscribeSse } from '@inferql/testing/graphql-client';
import { expectedClass, makePicture } from '@inferql/testing/test-images';
import type { Ledger } from '../ledger/client.ts';
import type { Sighting } from '../ledger/protocol.ts';
import { CANCEL, QUERY, type Seen, SUBMIT, SUBMIT_AND_WAIT, SUBSCRIPTION, toSighting } from './load-operations.ts';

export interface LoadOptions {
  /** Servers that clients choose from, as behind a load balancer: a client that is refused goes to the next one. */
  urls: string[];
  ledger: Ledger;
  /** The number of clients, each with one prediction in flight at a time. */
  clients: number;
  /** API keys, one tenant each: clients use them round-robin, and ask for some predictions with another tenant's key. @default none */
  keys?: string[];
  /** Some clients cancel, and some set a timeout that is too short. @default true */
  mixed?: boolean;
  /** The nth picture. @default makePicture */
  picture?: (n: number) => Uint8Array;
  /** The class that the nth picture must get. @default expectedClass */
  expected?: (n: number) => number | undefined;
  /** Called when an end is seen for the first time. */
  onEnd?: (end: Sighting) => unknown;
}

export interface Load {
  /** Accepted, and no end seen yet. */
  inFlight(): number;
  /** Ends seen by clients, by status. */
  ended: Record<string, number>;
  /** Refusals by code; the clients retried. */
  refusals: Record<string, number>;
  /** How often a tenant asked for another's prediction. */
  foreignReads(): number;
  /** Resolves once a condition holds; it is checked after each event. @throws after two minutes */
  until(condition: () => boolean): Promise<void>;
  /** Resolves once this many more predictions have ended. */
  more(count: number): Promise<void>;
  /** Starts nothing new; resolves once every client has seen the end of its last prediction. @throws after four minutes */
  finish(): Promise<void>;
}

/** How a client follows its prediction. */
const WAYS = ['sse', 'socket', 'query', 'wait', 'socket', 'sse', 'query', 'sse'] as const;

const TERMINAL = ['SUCCEEDED', 'FAILED', 'CANCELED', 'EXPIRED'];
const FOREIGN_EACH = 5;
const RETRY_MS = 50;
const POLL_MS = 1_000;
const CANCEL_EACH = 19;
const HURRY_EACH = 23;
const HURRY_MS = 1_500;

/** Starts to send pictures, each a new one, and follows each prediction to its end. */
export function startLoad(options: LoadOptions): Load {
  const { urls, ledger, keys = [], mixed = true, picture = makePicture, expected = expectedClass } = options;
  const sockets = new Map<string, Socket>();
  const open = new Set<string>();
  const ended: Record<string, number> = {};
  const refusals: Record<string, number> = {};
  const listeners = new Set<() => void>();
  let pictures = 0;
  let foreignReads = 0;
  let stopped = false;
  const failures: unknown[] = [];

  const notify = () => {
    for (const listener of [...listeners]) listener();
  };
  const count = (counts: Record<string, number>, key: string) => {
    counts[key] = (counts[key] ?? 0) + 1;
  };

  function headersOf(client: number): Record<string, string> {
    const key = keys[client % keys.length];
    return key === undefined ? {} : { authorization: `Bearer ${key}` };
  }

  function socketOf(url: string, client: number): Socket {
    const headers = headersOf(client);
    const name = `${url} ${headers.authorization}`;
    let socket = sockets.get(name);
    if (!socket || socket.closeCode() !== undefined) {
      socket = openSocket(url, headers);
      sockets.set(name, socket);
    }
    return socket;
  }

  /** Records a state. Returns whether it is the end. */
  function record(watch: ReturnType<Ledger['watch']>, seen: Seen): boolean {
    watch.seen(toSighting(seen));
    if (!TERMINAL.includes(seen.status)) return false;
    if (open.delete(seen.id)) {
      count(ended, seen.status);
      options.onEnd?.(toSighting(seen));
    }
    notify();
    return true;
  }

  function refuse(reason: unknown): void {
    const codes = (reason as GraphqlError[] | undefined)?.map?.(({ extensions }) => extensions?.code ?? 'no code');
    for (const code of codes ?? ['connection']) count(refusals, code);
    notify();
  }

  /** Sends the nth picture until a server accepts it. */
  async function submit(client: number, n: number, wait: boolean): Promise<Seen> {
    const key = randomUUID();
    const timeoutMs = mixed && n % HURRY_EACH === 0 ? HURRY_MS : undefined;
    for (let attempt = client; ; attempt++) {
      try {
        const { data, errors } = await send<{ classifyImage: Seen & { __typename: string; code?: string } }>(
          urls[attempt % urls.length]!,
          {
            query: wait ? SUBMIT_AND_WAIT : SUBMIT,
            variables: { image: null, key, timeoutMs },
            files: { image: picture(n) },
          },
          undefined,
          headersOf(client),
        );
        const answer = data?.classifyImage;
        if (answer?.__typename === 'Prediction') {
          ledger.answered(answer.id, expected(n));
          open.add(answer.id);
          notify();
          return answer;
        }
        if (answer) throw new TypeError(`a good picture was refused: ${JSON.stringify(answer)}`);
        refuse(errors);
      } catch (error) {
        if (error instanceof TypeError && error.message.startsWith('a good picture')) throw error;
        refuse(error);
      }
      await delay(RETRY_MS);
    }
  }

  /** One subscription, until its server or connection is lost. Returns whether the end was seen. */
  async function subscribeOnce(url: string, id: string, way: 'sse' | 'socket', client: number): Promise<boolean> {
    const watch = ledger.watch(way);
    const operation = { query: SUBSCRIPTION, variables: { id } };
    const results =
      way === 'sse'
        ? subscribeSse<{ prediction: Seen }>(url, operation, undefined, headersOf(client))
        : socketOf(url, client).subscribe<{ prediction: Seen }>(operation);
    let sawEnd = false;
    let sawError = false;
    try {
      for await (const { data, errors } of results) {
        if (errors) {
          sawError = true;
          refuse(errors);
        }
        if (data?.prediction) sawEnd = record(watch, data.prediction);
      }
      if (!sawError) watch.completed(id);
    } catch (error) {
      refuse(error);
    }
    return sawEnd;
  }

  async function queryOnce(url: string, id: string, client: number): Promise<boolean> {
    try {
      const { data, errors } = await send<{ prediction: Seen | null }>(
        url,
        { query: QUERY, variables: { id } },
        undefined,
        headersOf(client),
      );
      if (data?.prediction) return record(ledger.watch('query'), data.prediction);
      if (errors) refuse(errors);
    } catch (error) {
      refuse(error);
    }
    return false;
  }

  /** Another tenant reads and cancels it, which must find and change nothing. */
  async function pry(url: string, id: string, client: number): Promise<void> {
    for (const operation of [QUERY, CANCEL]) {
      const { data } = await send<Record<string, Seen | null>>(
        url,
        { query: operation, variables: { id } },
        undefined,
        headersOf(client + 1),
      ).catch(() => ({ data: undefined }));
      if (!data) continue;
      foreignReads++;
      if (Object.values(data).some((seen) => seen !== null))
        throw new Error(`another tenant's prediction was shown: ${id}`);
    }
  }

  async function cancel(url: string, id: string, client: number): Promise<void> {
    try {
      const { data } = await send<{ cancelPrediction: Seen | null }>(
        url,
        { query: CANCEL, variables: { id } },
        undefined,
        headersOf(client),
      );
      if (data?.cancelPrediction) record(ledger.watch('cancel'), data.cancelPrediction);
    } catch (error) {
      refuse(error);
    }
  }

  async function predict(client: number): Promise<void> {
    const n = pictures++;
    const way = WAYS[n % WAYS.length]!;
    const first = await submit(client, n, way === 'wait');
    const { id } = first;
    if (way === 'wait' && record(ledger.watch('mutation'), first)) return;
    if (keys.length > 1 && n % FOREIGN_EACH === 0) await pry(urls[n % urls.length]!, id, client);
    if (mixed && n % CANCEL_EACH === 0) await cancel(urls[(client + 1) % urls.length]!, id, client);
    for (let attempt = client; ; attempt++) {
      const url = urls[attempt % urls.length]!;
      const sawEnd =
        way === 'query'
          ? await queryOnce(url, id, client)
          : await subscribeOnce(url, id, way === 'wait' ? 'sse' : way, client);
      if (sawEnd) return;
      await delay(way === 'query' ? POLL_MS : RETRY_MS);
    }
  }

  const running = Array.from({ length: options.clients }, async (_, client) => {
    try {
      while (!stopped) await predict(client);
    } catch (error) {
      failures.push(error);
      notify();
    }
  });

  async function until(condition: () => boolean, timeoutMs = 120_000): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const settle = (act: () => void) => {
        clearTimeout(timer);
        listeners.delete(look);
        act();
      };
      const look = () => {
        if (failures.length > 0) settle(() => reject(failures[0]));
        else if (condition()) settle(resolve);
      };
      const timer = setTimeout(
        () => settle(() => reject(new Error(`not within ${timeoutMs} ms: ${JSON.stringify(report())}`))),
        timeoutMs,
      );
      listeners.add(look);
      look();
    });
  }

  const sum = () => Object.values(ended).reduce((total, each) => total + each, 0);
  const report = () => ({ inFlight: open.size, ended, refusals });

  return {
    inFlight: () => open.size,
    ended,
    refusals,
    foreignReads: () => foreignReads,
    until,
    async more(wanted) {
      const goal = sum() + wanted;
      await until(() => sum() >= goal);
    },
    async finish() {
      stopped = true;
      const late = new Promise<never>((_, reject) => {
        setTimeout(() => reject(new Error(`clients still wait: ${JSON.stringify(report())}`)), 240_000).unref();
      });
      await Promise.race([Promise.all(running), late]);
      await Promise.all([...sockets.values()].map((socket) => socket.close()));
      if (failures.length > 0) throw failures[0];
    },
  };
}
