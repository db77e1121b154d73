import { print } from '@0no-co/graphql.web';
import { Client, fetchExchange, type Operation, subscriptionExchange } from '@urql/core';
import { createLive, type Live } from './live/live.ts';

/** The only connection to the server: requests over HTTP, everything live over what proxies pass on. */
export interface Transport extends Pick<Live, 'getConnection' | 'onConnection'> {
  client: Client;
}

export interface TransportOptions {
  /** The API key, if the server wants one. */
  key: string | undefined;
  /** The server does not let this page in, or no longer. */
  onRefused(): void;
}

/** All requests except uploads are small, and answered at once. */
const MAX_REQUEST_MS = 20_000;

/**
 * Opens the transport. All subscriptions share one WebSocket, because a browser opens only six connections per site over HTTP/1.1 and a
 * page may follow hundreds of predictions; {@link createLive} finds another way where there is no WebSocket.
 */
export function createTransport(origin: string, { key, onRefused }: TransportOptions): Transport {
  const authorization = key === undefined ? {} : { authorization: `Bearer ${key}` };
  const live = createLive(origin, { authorization, onRefused });
  const client = new Client({
    url: `${origin}/graphql`,
    fetch: fetchInTime,
    fetchOptions: { headers: { 'x-graphql-yoga-csrf': '1', ...authorization } },
    preferGetMethod: false,
    requestPolicy: 'network-only',
    exchanges: [
      subscriptionExchange({
        forwardSubscription: ({ query, variables }, { query: document }) => ({
          subscribe: (sink) => ({
            unsubscribe: live.subscribe(
              {
                subscription: query ?? '',
                query: printAsQuery(document),
                variables: variables as Record<string, unknown>,
              },
              sink,
            ),
          }),
        }),
      }),
      fetchExchange,
    ],
  });
  return { client, getConnection: live.getConnection, onConnection: live.onConnection };
}

/** The query of the same fields: each subscription has one of its name and arguments. */
function printAsQuery({ definitions }: Operation['query']): string {
  const asQuery = definitions.map((each) =>
    each.kind === 'OperationDefinition' ? { ...each, operation: 'query' as const } : each,
  );
  return print({ kind: 'Document', definitions: asQuery } as Parameters<typeof print>[0]);
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
