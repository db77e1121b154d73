import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';

export interface GraphqlError {
  message: string;
  path?: (string | number)[];
  extensions?: { code?: string; retryAfterMs?: number };
}

export interface GraphqlResult<Data> {
  data?: Data | null;
  errors?: GraphqlError[];
}

/** A complete response. */
export interface GraphqlAnswer<Data> extends GraphqlResult<Data> {
  httpStatus: number;
  headers: Headers;
}

/** A response of several parts: the first result, then what was deferred. */
export interface DeferredPart<Data> extends GraphqlResult<Data> {
  incremental?: { data?: Record<string, unknown> | null; path: (string | number)[]; errors?: GraphqlError[] }[];
  hasNext?: boolean;
}

export interface Operation {
  query: string;
  variables?: Record<string, unknown>;
}

export interface Upload extends Operation {
  /** By the path of the variable that is null for it: `image`, `images.0`. */
  files: Record<string, Uint8Array>;
}

const CSRF = { 'x-graphql-yoga-csrf': '1' };

function toRequest(
  operation: Operation | Upload,
  accept: string,
  signal: AbortSignal | undefined,
  headers: Record<string, string> = {},
): RequestInit {
  const { query, variables = {} } = operation;
  const common = { method: 'POST', ...(signal ? { signal } : {}) };
  if (!('files' in operation)) {
    return {
      ...common,
      headers: { ...CSRF, accept, 'content-type': 'application/json', ...headers },
      body: JSON.stringify({ query, variables }),
    };
  }
  const body = new FormData();
  const files = Object.entries(operation.files);
  body.set('operations', JSON.stringify({ query, variables }));
  body.set('map', JSON.stringify(Object.fromEntries(files.map(([path], i) => [i, [`variables.${path}`]]))));
  files.forEach(([, bytes], i) => {
    body.set(String(i), new Blob([bytes as Uint8Array<ArrayBuffer>]), `photo-${i}`);
  });
  return { ...common, headers: { ...CSRF, accept, ...headers }, body };
}

/**
 * Sends a query, a mutation or an upload, and reads the whole answer.
 * @throws if the connection breaks, or the answer is not JSON
 */
export async function send<Data>(
  url: string,
  operation: Operation | Upload,
  signal?: AbortSignal,
  headers?: Record<string, string>,
): Promise<GraphqlAnswer<Data>> {
  const accept = 'application/graphql-response+json, application/json';
  const response = await fetch(`${url}/graphql`, toRequest(operation, accept, signal, headers));
  const text = await response.text();
  const answer = { httpStatus: response.status, headers: response.headers };
  try {
    return { ...(JSON.parse(text) as GraphqlResult<Data>), ...answer };
  } catch {
    throw new Error(`HTTP ${response.status}, no JSON: ${text.slice(0, 200)}`);
  }
}

/** Everything that a stream yields. */
export async function collect<Item>(stream: AsyncIterable<Item>): Promise<Item[]> {
  const items: Item[] = [];
  for await (const item of stream) items.push(item);
  return items;
}

/** Parts of a body between separators, each as soon as it is complete; the rest at the end. */
async function* splitBody(response: Response, separator: string): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of response.body!) {
    rest += decoder.decode(chunk, { stream: true });
    const pieces = rest.split(separator);
    rest = pieces.pop()!;
    yield* pieces;
  }
  if (rest) yield rest;
}

/** Thrown if a subscription's stream ends without its `complete`: the server or the connection is gone. */
export class StreamCut extends Error {}

/**
 * Subscribes over server-sent events. Ends after `complete`.
 * @throws StreamCut if the connection breaks before that
 */
export async function* subscribeSse<Data>(
  url: string,
  operation: Operation,
  signal?: AbortSignal,
  headers?: Record<string, string>,
): AsyncGenerator<GraphqlResult<Data>> {
  try {
    const response = await fetch(`${url}/graphql`, toRequest(operation, 'text/event-stream', signal, headers));
    if (!response.headers.get('content-type')?.startsWith('text/event-stream')) {
      yield (await response.json()) as GraphqlResult<Data>;
      return;
    }
    for await (const block of splitBody(response, '\n\n')) {
      const lines = block.split('\n');
      const event = lines
        .find((line) => line.startsWith('event:'))
        ?.slice(6)
        .trim();
      const data = lines
        .filter((line) => line.startsWith('data:'))
        .map((line) => line.slice(5))
        .join('\n');
      if (event === 'next') yield JSON.parse(data) as GraphqlResult<Data>;
      if (event === 'complete') return;
    }
  } catch (error) {
    if (signal?.aborted) return;
    throw new StreamCut(String(error), { cause: error });
  }
  if (!signal?.aborted) throw new StreamCut('the stream ended without complete');
}

/** One WebSocket with any number of subscriptions. */
export interface Socket {
  /** @throws StreamCut if the socket closes before the subscription has completed */
  subscribe<Data>(operation: Operation): AsyncGenerator<GraphqlResult<Data>>;
  /** The code with which the server closed the socket; undefined while it is open. */
  closeCode(): number | undefined;
  close(): Promise<void>;
}

/** Opens a WebSocket of the protocol graphql-transport-ws when it is first used, and never reconnects. */
export function openSocket(url: string, connectionParams?: Record<string, unknown>): Socket {
  let closeCode: number | undefined;
  const client = createClient({
    url: `${url.replace(/^http/, 'ws')}/graphql`,
    webSocketImpl: WebSocket,
    ...(connectionParams ? { connectionParams } : {}),
    retryAttempts: 0,
    lazyCloseTimeout: 5_000,
    on: {
      closed: (event) => {
        closeCode = (event as { code: number }).code;
      },
    },
    // The subscription reports it.
    onNonLazyError: () => undefined,
  });
  return {
    async *subscribe<Data>({ query, variables }: Operation) {
      const results = client.iterate<Record<string, unknown>>({ query, ...(variables ? { variables } : {}) });
      try {
        for await (const result of results) yield result as GraphqlResult<Data>;
      } catch (error) {
        // An array is the server's answer to this subscription: its errors.
        if (Array.isArray(error)) yield { errors: error as GraphqlError[] };
        else throw new StreamCut(`the socket closed (${closeCode})`, { cause: error });
      }
    },
    closeCode: () => closeCode,
    close: async () => {
      await client.dispose();
    },
  };
}

/**
 * Sends an operation that defers a part of its selection, and yields the response's parts as they come.
 * @throws if the response is not a multipart one
 */
export async function* sendDeferred<Data>(
  url: string,
  operation: Operation | Upload,
): AsyncGenerator<DeferredPart<Data>> {
  const response = await fetch(`${url}/graphql`, toRequest(operation, 'multipart/mixed', undefined));
  const type = response.headers.get('content-type') ?? '';
  const boundary = /^multipart\/mixed.*boundary="?([^";]+)"?/.exec(type)?.[1];
  if (!boundary) throw new Error(`expected multipart/mixed, got ${type}: ${await response.text()}`);
  for await (const piece of splitBody(response, `--${boundary}`)) {
    const body = piece.slice(piece.indexOf('\r\n\r\n') + 4).trim();
    if (piece.includes('\r\n\r\n') && body) yield JSON.parse(body) as DeferredPart<Data>;
  }
}
