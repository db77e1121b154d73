import { Client, type ExecutionResult, fetchExchange, subscriptionExchange } from '@urql/core';
import { createClient as createSocket } from 'graphql-ws/client';
import { watchHeartbeat } from './heartbeat.ts';

/** Whether the page is connected to the server: `connecting` covers the first attempt and every later one. */
export type Connection = 'connecting' | 'open';

/** The only connection to the server: requests over HTTP, everything live over one WebSocket. */
export interface Transport {
  client: Client;
  getConnection(): Connection;
  /** Calls back at each change of the connection. Returns a function that stops that. */
  onConnection(listener: () => void): () => void;
}

export interface TransportOptions {
  /** The API key, if the server requires one. */
  key: string | undefined;
  /** The server refuses this page, or no longer accepts its key. */
  onRefused(): void;
}

/** 'Unauthorized': do not retry with the same key. */
const REFUSED_CLOSE_CODE = 4401;
const MAX_RECONNECT_WAIT_MS = 4_000;
/** All requests except uploads are small, and answered at once. */
const MAX_REQUEST_MS = 20_000;

/**
 * Opens the transport. One WebSocket carries all subscriptions, because a browser opens only six connections per site over
 * HTTP/1.1 and a page may watch hundreds of predictions. It reconnects as long as the page is open and then renews every
 * running subscription.
 */
export function createTransport(origin: string, { key, onRefused }: TransportOptions): Transport {
  const listeners = new Set<() => void>();
  let connection: Connection = 'connecting';
  const setConnection = (next: Connection) => {
    if (next === connection) return;
    connection = next;
    for (const listener of listeners) listener();
  };

  const authorization = key === undefined ? {} : { authorization: `Bearer ${key}` };
  let isRefused = false;

  const socket = createSocket({
    connectionParams: authorization,
    url: `${origin.replace(/^http/, 'ws')}/graphql`,
    shouldRetry: () => true,
    retryAttempts: Number.POSITIVE_INFINITY,
    retryWait: (retries) => waitForNextTry(retries),
    connectionAckWaitTimeout: 5_000,
    keepAlive: 10_000,
  });
  watchHeartbeat(socket);
  socket.on('connected', () => setConnection('open'));
  socket.on('closed', (event) => {
    setConnection('connecting');
    if (isRefused || (event as CloseEvent).code !== REFUSED_CLOSE_CODE) return;
    isRefused = true;
    onRefused();
  });

  const client = new Client({
    url: `${origin}/graphql`,
    fetch: fetchInTime,
    fetchOptions: { headers: { 'x-graphql-yoga-csrf': '1', ...authorization } },
    preferGetMethod: false,
    requestPolicy: 'network-only',
    exchanges: [
      subscriptionExchange({
        forwardSubscription: ({ query, variables }) => ({
          subscribe: (sink) => ({
            unsubscribe: socket.subscribe<Record<string, unknown>>(
              { query: query ?? '', variables: variables as Record<string, unknown> },
              {
                next: (result) => sink.next(result as ExecutionResult),
                error: (error) => sink.error(error),
                complete: () => sink.complete(),
              },
            ),
          }),
        }),
      }),
      fetchExchange,
    ],
  });

  return {
    client,
    getConnection: () => connection,
    onConnection(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

/** A `fetch` that gives up a silently dead connection. */
const fetchInTime: typeof fetch = async (input, init = {}) => {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(new TypeError('The server fell silent')), MAX_REQUEST_MS);
  const signal = init.signal ? AbortSignal.any([init.signal, late.signal]) : late.signal;
  try {
    return await fetch(input, { ...init, signal });
  } finally {
    clearTimeout(timer);
  }
};

/** Waits longer after each attempt, with jitter, so that many pages do not all come back at the same moment. */
function waitForNextTry(retries: number): Promise<void> {
  const waitMs = Math.min(MAX_RECONNECT_WAIT_MS, 200 * 2 ** retries) * (0.5 + Math.random() / 2);
  return new Promise((resolve) => setTimeout(resolve, waitMs));
}
