/**
 * One response per connection at a time. A client may send its next requests before it has read an answer (HTTP pipelining); Node
 * would run them all, and keep every answer in memory until the previous one was read.
 */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';

/** Requests of one connection that may wait for earlier answers. If there are more, the connection is closed. */
export const MAX_PIPELINED_REQUESTS = 100;

interface Connection {
  /** The latest response that was begun. */
  current: ServerResponse;
  waiting: [IncomingMessage, ServerResponse][];
}

/** Passes a connection's next request to the listener only when its last response was sent or aborted. */
export function oneAtATime(listener: RequestListener): RequestListener {
  const connections = new WeakMap<Duplex, Connection>();

  function begin(connection: Connection, request: IncomingMessage, response: ServerResponse): void {
    connection.current = response;
    if (connection.waiting.length > 0) awaitEnd(connection);
    listener(request, response);
  }

  function awaitEnd(connection: Connection): void {
    const goOn = () => {
      const next = connection.waiting.shift();
      if (next && !next[0].socket.destroyed) begin(connection, ...next);
    };
    connection.current.once('close', goOn);
  }

  return (request, response) => {
    const { socket } = request;
    const connection = connections.get(socket);
    if (!connection) {
      connections.set(socket, { current: response, waiting: [] });
      listener(request, response);
    } else if (connection.current.closed) {
      begin(connection, request, response);
    } else if (connection.waiting.length >= MAX_PIPELINED_REQUESTS) {
      connection.waiting = [];
      socket.destroy();
    } else {
      connection.waiting.push([request, response]);
      if (connection.waiting.length === 1) awaitEnd(connection);
    }
  };
}
