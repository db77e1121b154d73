/** One client of a load: sends pictures, one after the other, and follows each prediction to its end. */
import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import {
  type GraphqlResult,
  openSocket,
  type Socket,
  send,
  subscribeSse,
} from '@inferql/testing/system/graphql-client';
import type { Ledger } from '../ledger/client.ts';
import type { LoadCounts } from './load-counts.ts';
import { CANCEL, QUERY, type Seen, SUBMIT, SUBMIT_AND_WAIT, SUBSCRIPTION, toSighting } from './load-operations.ts';

/** How a client follows its prediction. */
const WAYS = ['sse', 'socket', 'query', 'wait', 'socket', 'sse', 'query', 'sse'] as const;

const FOREIGN_EACH = 5;
const RETRY_MS = 50;
const POLL_MS = 1_000;
const CANCEL_EACH = 19;
const HURRY_EACH = 23;
const HURRY_MS = 1_500;

/** What the clients of a load share. */
export interface LoadPlan {
  urls: readonly string[];
  ledger: Ledger;
  keys: readonly string[];
  mixed: boolean;
  picture(n: number): Uint8Array;
  expected(n: number): number | undefined;
  counts: LoadCounts;
  sockets: SharedSockets;
}

/** One WebSocket per server and key. */
export class SharedSockets {
  readonly #sockets = new Map<string, Socket>();

  open(url: string, headers: Record<string, string>): Socket {
    const name = `${url} ${headers.authorization}`;
    let socket = this.#sockets.get(name);
    if (!socket || socket.closeCode() !== undefined) {
      socket = openSocket(url, headers);
      this.#sockets.set(name, socket);
    }
    return socket;
  }

  async close(): Promise<void> {
    await Promise.all([...this.#sockets.values()].map((socket) => socket.close()));
  }
}

export class LoadClient {
  readonly #plan: LoadPlan;
  readonly #number: number;
  readonly #headers: Record<string, string>;

  constructor(plan: LoadPlan, number: number) {
    this.#plan = plan;
    this.#number = number;
    this.#headers = headersOf(plan.keys, number);
  }

  /** Sends the nth picture and follows its prediction to the end. */
  async predict(n: number): Promise<void> {
    const { ledger, keys, mixed } = this.#plan;
    const way = WAYS[n % WAYS.length]!;
    const first = await this.#submit(n, way === 'wait');
    const { id } = first;
    if (way === 'wait' && this.#record(ledger.watch('mutation'), first)) return;
    if (keys.length > 1 && n % FOREIGN_EACH === 0) await this.#pry(this.#urlOf(n), id);
    if (mixed && n % CANCEL_EACH === 0) await this.#cancel(this.#urlOf(this.#number + 1), id);
    for (let attempt = this.#number; ; attempt++) {
      const url = this.#urlOf(attempt);
      const sawEnd =
        way === 'query'
          ? await this.#queryOnce(url, id)
          : await this.#subscribeOnce(url, id, way === 'wait' ? 'sse' : way);
      if (sawEnd) return;
      await delay(way === 'query' ? POLL_MS : RETRY_MS);
    }
  }

  /** Sends the nth picture until a server accepts it. */
  async #submit(n: number, wait: boolean): Promise<Seen> {
    const { ledger, mixed, picture, expected, counts } = this.#plan;
    const key = randomUUID();
    const timeoutMs = mixed && n % HURRY_EACH === 0 ? HURRY_MS : undefined;
    const operation = {
      query: wait ? SUBMIT_AND_WAIT : SUBMIT,
      variables: { image: null, key, timeoutMs },
      files: { image: picture(n) },
    };
    for (let attempt = this.#number; ; attempt++) {
      const { data, errors } = await this.#send<{ classifyImage: Seen & { __typename: string } }>(
        this.#urlOf(attempt),
        operation,
      );
      const answer = data?.classifyImage;
      if (answer?.__typename === 'Prediction') {
        ledger.answered(answer.id, expected(n));
        counts.addAccepted(answer.id);
        return answer;
      }
      if (answer) throw new TypeError(`a good picture was refused: ${JSON.stringify(answer)}`);
      if (errors) counts.addRefusal(errors);
      await delay(RETRY_MS);
    }
  }

  /** One subscription, until its server or connection is lost. Returns whether the end was seen. */
  async #subscribeOnce(url: string, id: string, way: 'sse' | 'socket'): Promise<boolean> {
    const { ledger, counts, sockets } = this.#plan;
    const watch = ledger.watch(way);
    const operation = { query: SUBSCRIPTION, variables: { id } };
    const results =
      way === 'sse'
        ? subscribeSse<{ prediction: Seen }>(url, operation, undefined, this.#headers)
        : sockets.open(url, this.#headers).subscribe<{ prediction: Seen }>(operation);
    let sawEnd = false;
    let sawError = false;
    try {
      for await (const { data, errors } of results) {
        if (errors) {
          sawError = true;
          counts.addRefusal(errors);
        }
        if (data?.prediction) sawEnd = this.#record(watch, data.prediction);
      }
      if (!sawError) watch.completed(id);
    } catch (error) {
      counts.addRefusal(error);
    }
    return sawEnd;
  }

  async #queryOnce(url: string, id: string): Promise<boolean> {
    const { data, errors } = await this.#send<{ prediction: Seen | null }>(url, { query: QUERY, variables: { id } });
    if (data?.prediction) return this.#record(this.#plan.ledger.watch('query'), data.prediction);
    if (errors) this.#plan.counts.addRefusal(errors);
    return false;
  }

  /** Another tenant reads and cancels it, which must find and change nothing. */
  async #pry(url: string, id: string): Promise<void> {
    const headers = headersOf(this.#plan.keys, this.#number + 1);
    for (const operation of [QUERY, CANCEL]) {
      const { data } = await send<Record<string, Seen | null>>(
        url,
        { query: operation, variables: { id } },
        undefined,
        headers,
      ).catch(() => ({ data: undefined }));
      if (!data) continue;
      this.#plan.counts.addForeignRead();
      if (Object.values(data).some((seen) => seen !== null))
        throw new Error(`another tenant's prediction was shown: ${id}`);
    }
  }

  async #cancel(url: string, id: string): Promise<void> {
    const { data } = await this.#send<{ cancelPrediction: Seen | null }>(url, { query: CANCEL, variables: { id } });
    if (data?.cancelPrediction) this.#record(this.#plan.ledger.watch('cancel'), data.cancelPrediction);
  }

  /** Records a state. Returns whether it is the end. */
  #record(watch: ReturnType<Ledger['watch']>, seen: Seen): boolean {
    watch.seen(toSighting(seen));
    return this.#plan.counts.addState(seen);
  }

  /** A lost connection counts as a refusal, and gives nothing. */
  async #send<Data>(url: string, operation: Parameters<typeof send>[1]): Promise<GraphqlResult<Data>> {
    try {
      return await send<Data>(url, operation, undefined, this.#headers);
    } catch (error) {
      this.#plan.counts.addRefusal(error);
      return {};
    }
  }

  /** As a load balancer does: each further attempt goes to the next server. */
  #urlOf(attempt: number): string {
    const { urls } = this.#plan;
    return urls[attempt % urls.length]!;
  }
}

function headersOf(keys: readonly string[], client: number): Record<string, string> {
  const key = keys[client % keys.length];
  return key === undefined ? {} : { authorization: `Bearer ${key}` };
}
