/** Limits the number of open connections, so that the process does not run out of file handles. */
import { readFileSync } from 'node:fs';
import type { IncomingMessage, Server } from 'node:http';
import type { Socket } from 'node:net';
import type { Logger } from 'pino';

/** Handles reserved for files, decoders and Redis. */
const OTHER_HANDLES = 64;
/** The part of the remaining handles that connections may use. */
const SHARE_OF_HANDLES = 0.75;
/** Connections beyond the limit, for health checks and refusals. */
const SPARE_CONNECTIONS = 32;
/** A connection beyond the limit is closed if no request comes within this time. */
const SPARE_TIMEOUT_MS = 1_000;
/** The limit is reported once until the connections have become fewer than this share of it. */
const RELIEVED_SHARE = 0.9;

/** How many connections leave enough handles for everything else; Infinity if the system does not say how many there are. */
export function readConnectionLimit(limits = readLimits()): number {
  // Node raises its soft limit to the hard one, which is the second number.
  const handles = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? Number.POSITIVE_INFINITY);
  return Math.max(SPARE_CONNECTIONS, Math.floor((handles - OTHER_HANDLES) * SHARE_OF_HANDLES) - SPARE_CONNECTIONS);
}

function readLimits(): string {
  try {
    return readFileSync('/proc/self/limits', 'utf8');
  } catch {
    return '';
  }
}

/**
 * Prevents connections from using up the file handles of the process. Otherwise the system would silently close new ones, even those of health checks.
 * A few connections beyond the limit are accepted for one request each.
 * @returns whether a request came on one of those: only health checks are answered there
 */
export function limitConnections(server: Server, limit: number, log: Logger): (request: IncomingMessage) => boolean {
  /** In the order in which they came. */
  const spare = new Set<Socket>();
  /** A connection whose Upgrade was ignored begins again: see foreign-upgrade.ts. */
  const counted = new WeakSet<Socket>();
  let open = 0;
  let isReported = false;
  server.on('connection', (socket: Socket) => {
    if (counted.has(socket)) return;
    counted.add(socket);
    open++;
    socket.once('close', () => {
      open--;
      if (!isReported || open > limit * RELIEVED_SHARE) return;
      isReported = false;
      log.info({ connections: open, limit }, 'accepting connections again');
    });
    if (open <= limit) return;
    if (!isReported) {
      isReported = true;
      log.error(
        { connections: open, limit },
        'too many connections for the file handles of this process; new ones are refused. Raise its limit of open files (ulimit -n)',
      );
    }
    spare.add(socket);
    const timer = setTimeout(() => socket.destroy(), SPARE_TIMEOUT_MS);
    socket.once('close', () => {
      clearTimeout(timer);
      spare.delete(socket);
    });
    // The newest one gets its chance: it may be a health check.
    const [oldest] = spare;
    if (spare.size > SPARE_CONNECTIONS) oldest!.destroy();
  });
  return ({ socket }) => spare.has(socket);
}
