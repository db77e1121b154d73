import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';

/** A TCP proxy whose connections share a slow line towards the server. Answers are not slowed. */
export interface SlowLine {
  url: string;
  close(): Promise<void>;
}

/** Small enough that a slow line is shared fairly by its connections. */
const PIECE_BYTES = 4_096;

/** @param serverUrl the server behind it, on the loopback */
export async function startSlowLine(serverUrl: string, bytesPerSecond: number): Promise<SlowLine> {
  const sockets = new Set<Socket>();
  let freeAtMs = 0;

  /** Resolves when the line has passed these bytes on, after those before them. */
  function pass(bytes: number): Promise<void> {
    const nowMs = performance.now();
    freeAtMs = Math.max(freeAtMs, nowMs) + (bytes / bytesPerSecond) * 1_000;
    return new Promise((resolve) => setTimeout(resolve, freeAtMs - nowMs));
  }

  async function relay(from: Socket, to: Socket): Promise<void> {
    try {
      for await (const chunk of from as AsyncIterable<Buffer>) {
        for (let at = 0; at < chunk.length; at += PIECE_BYTES) {
          const piece = chunk.subarray(at, at + PIECE_BYTES);
          await pass(piece.length);
          if (!to.write(piece)) await once(to, 'drain');
        }
      }
      to.end();
    } catch {
      to.destroy();
    }
  }

  const server = createServer((client) => {
    const upstream = connect(Number(new URL(serverUrl).port), '127.0.0.1');
    for (const [socket, other] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(socket);
      socket.on('error', () => other.destroy());
      socket.on('close', () => {
        sockets.delete(socket);
        other.destroy();
      });
    }
    void relay(client, upstream);
    upstream.pipe(client);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as { port: number }).port}`,
    async close() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
