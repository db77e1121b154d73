/** Handles `Upgrade` requests to other protocols than WebSocket. */
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';

/** Headers that concern only the upgrade; they belong to one connection and may be dropped. */
const UPGRADE_HEADERS = ['upgrade', 'connection', 'http2-settings'];

/** Whether the client asks for a WebSocket, among other protocols or alone. */
export function asksForWebSocket({ headers }: IncomingMessage): boolean {
  return (headers.upgrade ?? '').split(',').some((protocol) => protocol.trim().toLowerCase() === 'websocket');
}

/**
 * Answers a request as if it had no `Upgrade` header, as HTTP requires of a server that does not speak that protocol: Java's
 * client and `curl --http2` offer HTTP/2 this way with each first request. Node has taken its parser off the socket, so the request
 * is written again in front of what follows it, and the socket begins as a new connection.
 * @param head what came after the request's headers
 */
export function continueWithoutUpgrade(server: Server, request: IncomingMessage, socket: Duplex, head: Buffer): void {
  const lines = [`${request.method} ${request.url} HTTP/${request.httpVersion}`];
  for (let i = 0; i < request.rawHeaders.length; i += 2) {
    const name = request.rawHeaders[i]!;
    if (!UPGRADE_HEADERS.includes(name.toLowerCase())) lines.push(`${name}: ${request.rawHeaders[i + 1]}`);
  }
  const others = (request.headers.connection ?? '')
    .split(',')
    .map((option) => option.trim().toLowerCase())
    .filter((option) => option !== '' && !UPGRADE_HEADERS.includes(option));
  if (others.length > 0) lines.push(`connection: ${others.join(', ')}`);
  // Node adds its listeners with each connection, and this one begins again.
  for (const event of ['timeout', 'resume', 'pause']) socket.removeAllListeners(event);
  socket.unshift(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), head]));
  server.emit('connection', socket);
}
