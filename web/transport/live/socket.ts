import { type Client, createClient } from 'graphql-ws/client';
import { watchHeartbeat } from './heartbeat.ts';

interface SocketOptions {
  authorization: Record<string, string>;
  /** @param retries how often it was tried again already */
  getWaitMs(retries: number): number;
  onOpened(): void;
  onClosed(): void;
  /** The server does not let this page in, or no longer. */
  onRefused(): void;
}

/** 'Unauthorized': the same key is not tried again. */
const REFUSED_CLOSE_CODE = 4401;

/** Opens the WebSocket at once, and again for as long as the page is open. Then asks for every running subscription again. */
export function openSocket(
  origin: string,
  { authorization, getWaitMs, onOpened, onClosed, onRefused }: SocketOptions,
): Client {
  const socket = createClient({
    connectionParams: authorization,
    url: `${origin.replace(/^http/, 'ws')}/graphql`,
    lazy: false,
    // Each subscription is told what ended it.
    onNonLazyError: () => {},
    shouldRetry: () => true,
    retryAttempts: Number.POSITIVE_INFINITY,
    retryWait: (retries) => new Promise((resolve) => setTimeout(resolve, getWaitMs(retries))),
    connectionAckWaitTimeout: 5_000,
    keepAlive: 10_000,
  });
  watchHeartbeat(socket);
  socket.on('connected', onOpened);
  socket.on('closed', (event) => {
    if ((event as CloseEvent).code === REFUSED_CLOSE_CODE) onRefused();
    onClosed();
  });
  return socket;
}
