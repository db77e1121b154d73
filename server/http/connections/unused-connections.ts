/** Connections that a client opened in advance, as browsers do. Node does not count them as idle, so they would hold up the end of a server. */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';

export interface UnusedConnections {
  /** Closes those on which nothing has arrived. */
  close(): void;
}

export function watchUnusedConnections(server: Server): UnusedConnections {
  const unused = new Set<Socket>();
  /** A connection whose Upgrade was ignored begins again: see foreign-upgrade.ts. */
  const seen = new WeakSet<Socket>();
  const forget = (socket: Socket) => unused.delete(socket);
  server.on('connection', (socket: Socket) => {
    if (seen.has(socket)) return;
    seen.add(socket);
    unused.add(socket);
    socket.once('close', () => forget(socket));
  });
  server.on('request', ({ socket }) => forget(socket));
  server.on('upgrade', ({ socket }) => forget(socket));
  return {
    close() {
      for (const socket of unused) if (socket.bytesRead === 0) socket.destroy();
    },
  };
}
