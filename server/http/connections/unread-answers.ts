/** Closes connections whose client asks for answers and does not read them. */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';

const LOOK_EVERY_MS = 5_000;
/**
 * A connection that took nothing at this many looks in a row is closed: after one minute. The system takes more only after its own
 * buffers have been read by a third, which takes half a minute at 50 kB/s.
 */
export const MAX_STUCK_LOOKS = 12;

/** Unsent bytes, and how many times in a row they were the same. */
interface Stuck {
  taken: number;
  queued: number;
  looks: number;
}

/**
 * Ends connections whose client reads none of their unsent bytes for a minute. Looks are counted instead of time, so that a busy server
 * does not blame its clients.
 * @returns leaves a connection alone: WebSockets have their pings
 */
export function closeUnreadAnswers(
  server: Server,
  log: Logger,
  { lookEveryMs = LOOK_EVERY_MS } = {},
): (socket: Duplex) => void {
  const sockets = new Set<Socket>();
  const stuck = new WeakMap<Socket, Stuck>();
  let timer: NodeJS.Timeout | undefined;

  function look(): void {
    for (const socket of sockets) check(socket);
    if (sockets.size > 0) return;
    clearInterval(timer);
    timer = undefined;
  }

  function check(socket: Socket): void {
    if (socket.writableLength === 0) return void stuck.delete(socket);
    const taken = socket.bytesWritten - socket.writableLength;
    const queued = queuedBytes(socket);
    const before = stuck.get(socket);
    if (before?.taken !== taken || before.queued !== queued) return void stuck.set(socket, { taken, queued, looks: 0 });
    before.looks++;
    if (before.looks < MAX_STUCK_LOOKS) return;
    const seconds = Math.round((MAX_STUCK_LOOKS * lookEveryMs) / 1000);
    log.info(
      { address: socket.remoteAddress, unsentBytes: socket.writableLength, seconds },
      'client does not read its response; connection closed',
    );
    socket.destroy();
  }

  server.on('connection', (socket: Socket) => {
    // A connection whose Upgrade was ignored begins again: see foreign-upgrade.ts.
    if (sockets.has(socket)) return;
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    timer ??= setInterval(look, lookEveryMs).unref();
  });
  return (socket) => void sockets.delete(socket as Socket);
}

/** Bytes of the write in progress that the system has not taken yet; Node's timeouts of sockets read it, too. */
export function queuedBytes(socket: Socket): number {
  return (socket as unknown as { _handle?: { writeQueueSize?: number } })._handle?.writeQueueSize ?? 0;
}
