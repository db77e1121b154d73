import { type Client, type Connection, createClient, type InferqlError } from '@inferql/client';
import { isPassing, readProblem } from './request-problem.ts';

/** The server's API, and how the page is connected to it. */
export interface Api {
  client: Client;
  getConnection(): Connection;
  /** Calls back at each change of the connection. Returns a function that stops that. */
  onConnection(listener: () => void): () => void;
  /** Whether an error says that the server does not accept the key, or that the key may not read. */
  isRefusal(error: InferqlError): boolean;
  getKey(): string | undefined;
  /** To be called when the server does not accept a key, or no longer. A key that is not used anymore does not matter. */
  refuse(refused: string | undefined): void;
  /** Uses another key from now on. */
  changeKey(key: string): void;
}

interface ApiOptions {
  /** The API key, if the server wants one. */
  key: string | undefined;
  /** Called once per key, when the server does not accept it, or no longer. */
  onRefused(): void;
}

/** A browser opens six connections per site over HTTP/1.1; some are left for the rest of the page. */
const MAX_UPLOADS = 4;
/** Without these limits, a silently dead connection lasts until the system gives it up, which takes a quarter of an hour. */
const MAX_UPLOAD_SILENCE_MS = 60_000;
const MAX_SILENCE_MS = 20_000;

/** All subscriptions share one WebSocket, because a page may watch hundreds of predictions. Temporary failures are retried without a limit. */
export function createApi(origin: string, { key: firstKey, onRefused }: ApiOptions): Api {
  let key = firstKey;
  const listeners = new Set<() => void>();
  let connection: Connection = 'idle';
  let isRefused = false;
  const client = createClient({
    url: origin,
    key: () => key,
    subscriptions: 'shared',
    maxUploads: MAX_UPLOADS,
    requestTimeoutMs: MAX_UPLOAD_SILENCE_MS,
    idleTimeoutMs: MAX_SILENCE_MS,
    retryForMs: (error) => (isPassing(readProblem(error)) ? Number.POSITIVE_INFINITY : 0),
    onConnection(next) {
      connection = next;
      for (const listener of listeners) listener();
    },
  });
  return {
    client,
    getConnection: () => connection,
    onConnection(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    isRefusal({ code, httpStatus }) {
      if (httpStatus !== undefined) return false;
      // Without a key, the server knows its callers in another way, which no key changes.
      return code === 'UNAUTHENTICATED' || (code === 'FORBIDDEN' && key !== undefined);
    },
    getKey: () => key,
    refuse(refused) {
      if (isRefused || refused !== key) return;
      isRefused = true;
      onRefused();
    },
    changeKey(next) {
      key = next;
      isRefused = false;
    },
  };
}
