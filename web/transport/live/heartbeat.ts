import type { Client } from 'graphql-ws/client';

const PONG_WAIT_MS = 5_000;

/** Closes a socket that does not answer pings, so that a silently dead connection is noticed and reopened. */
export function watchHeartbeat(client: Client): void {
  let socket: WebSocket | undefined;
  let overdue: ReturnType<typeof setTimeout> | undefined;
  client.on('opened', (opened) => {
    socket = opened as WebSocket;
  });
  client.on('ping', (received) => {
    if (received) return;
    overdue = setTimeout(() => socket?.close(4408, 'No pong'), PONG_WAIT_MS);
  });
  client.on('pong', (received) => {
    if (received) clearTimeout(overdue);
  });
  client.on('closed', () => clearTimeout(overdue));
}
