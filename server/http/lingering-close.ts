import type { IncomingMessage } from 'node:http';

/**
 * Node closes the connection of a request with `Connection: close` as soon as its answer is written. If the rest of the body is still arriving,
 * the system then resets the connection, and the client loses the answer. With this, only the sending side is closed until the body has ended;
 * body-watch.ts bounds how long that takes.
 */
export function closeAfterBody(request: IncomingMessage): void {
  const { socket } = request;
  if (request.headers['content-length'] === undefined && request.headers['transfer-encoding'] === undefined) return;
  const destroySoon = socket.destroySoon.bind(socket);
  // Node's HTTP server calls this after the last answer of a connection.
  socket.destroySoon = () => {
    if (request.complete || request.destroyed) return destroySoon();
    socket.end();
    request.once('end', destroySoon).once('close', destroySoon).resume();
  };
}
