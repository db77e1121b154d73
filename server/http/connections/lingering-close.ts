import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';

/** The latest request with a body on each connection. */
const latest = new WeakMap<Socket, IncomingMessage>();

/**
 * Node closes the connection of a request with `Connection: close` as soon as its answer is written. If the rest of the body is still arriving,
 * the system then resets the connection, and the client loses the answer. With this, only the sending side is closed until the body has ended;
 * slow-bodies.ts bounds how long that takes. Call it for each request.
 */
export function closeAfterBody(request: IncomingMessage): void {
  const { socket } = request;
  if (request.headers['content-length'] === undefined && request.headers['transfer-encoding'] === undefined) return;
  // Once per connection: a function around the previous one would hold every request until the connection ends.
  if (!latest.has(socket)) waitForBody(socket);
  latest.set(socket, request);
}

function waitForBody(socket: Socket): void {
  const destroySoon = socket.destroySoon.bind(socket);
  // Node's HTTP server calls this after the last answer of a connection.
  socket.destroySoon = () => {
    const request = latest.get(socket);
    if (!request || request.complete || request.destroyed) return destroySoon();
    socket.end();
    request.once('end', destroySoon).once('close', destroySoon).resume();
  };
}
