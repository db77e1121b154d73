/** One WebSocket connection: pings, protocol errors and close codes. */

import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { ServerOptions } from 'graphql-ws';
import { CloseCode, handleProtocols, MessageType, makeServer } from 'graphql-ws';
import type { Logger } from 'pino';
import type { WebSocket, WebSocketServer } from 'ws';
import { queuedBytes } from '../connections/unread-answers.ts';
import { PING_EVERY_MS } from '../ping-interval.ts';
import { SocketLimits } from './web-socket-limits.ts';

/** Arguments of a connection's hooks. */
export interface SocketExtra {
  readonly socket: WebSocket;
  readonly request: IncomingMessage;
  readonly limits: SocketLimits;
}

const MAX_REASON_BYTES = 123;
/**
 * A connection that showed no sign of life at this many looks in a row is closed: after one minute. The system's buffers, here and in a
 * proxy, hold several MB, which a slow line takes that long to carry and in which nobody sees progress.
 */
export const MAX_SILENT_LOOKS = 5;

/**
 * Speaks graphql-transport-ws on the sockets of a server. Like graphql-ws' adapter, but errors are logged once, and no
 * detail of them reaches the client.
 */
export function serveWebSockets<P extends Record<string, unknown> | undefined, E extends SocketExtra>(
  options: ServerOptions<P, E>,
  sockets: WebSocketServer,
  log: Logger,
  { pingEveryMs = PING_EVERY_MS } = {},
): void {
  const protocol = makeServer<P, E>(options);
  sockets.options.handleProtocols = handleProtocols;
  sockets.on('error', (error) => log.error({ err: error }, 'the WebSocket server failed'));
  sockets.on('connection', (socket, request) => {
    // A frame that is too large or malformed: ws closes the socket with the code for it.
    socket.on('error', (error) => log.debug({ err: error }, 'closed a WebSocket whose client sent an invalid message'));
    let receive: (text: string) => Promise<void> = async () => undefined;
    const limits = new SocketLimits(socket, (text) =>
      receive(text).catch((error) => {
        if (isMistake(text, error)) {
          log.debug({ err: error }, 'closed a WebSocket whose client sent an invalid message');
          socket.close(CloseCode.BadRequest, 'Invalid message received');
        } else {
          log.error({ err: error }, 'could not handle a WebSocket message');
          socket.close(CloseCode.InternalServerError, 'Internal server error');
        }
      }),
    );
    const stopPinging = pingRegularly(socket, request.socket, limits, log, pingEveryMs);
    const closed = protocol.opened(
      {
        protocol: socket.protocol,
        send: (data) => send(socket, data, limits),
        close: (code, reason) => socket.close(code, shortenReason(reason)),
        onMessage(listener) {
          receive = listener;
        },
      },
      { socket, request, limits } as unknown as E,
    );
    socket.on('message', (data) => limits.receive(data));
    socket.once('close', (code, reason) => {
      stopPinging();
      limits.goOn();
      closed(code, String(reason)).catch((error) => log.error({ err: error }, 'could not clean up a closed WebSocket'));
    });
  });
}

/** Types that only a server sends. The protocol's implementation throws at them, as at its own failures. */
const ANSWER_TYPES: readonly unknown[] = [MessageType.ConnectionAck, MessageType.Next, MessageType.Error];

/** Whether the client is to blame: an answer sent to the server, or a value too deeply nested to be returned. */
function isMistake(text: string, error: unknown): boolean {
  return error instanceof RangeError || ANSWER_TYPES.includes((JSON.parse(text) as { type?: unknown }).type);
}

/** The protocol's implementation quotes the client's id, and a close frame holds only 123 bytes. */
function shortenReason(reason = ''): string {
  return Buffer.byteLength(reason) <= MAX_REASON_BYTES ? reason : `${reason.slice(0, 30)}…`;
}

/** Resolves when the data is written, or cannot be: the connection is broken, and its close event follows. */
function send(socket: WebSocket, data: string, limits: SocketLimits): Promise<void> {
  return new Promise((resolve) => {
    // In a later turn: a source that never waits would keep the close event from coming.
    if (socket.readyState !== socket.OPEN) return void setImmediate(resolve);
    socket.send(data, () => {
      resolve();
      limits.goOn();
    });
  });
}

/**
 * Ends a connection whose other side has gone without closing it, or reads nothing. A slow reader sees a ping only behind what was
 * sent before, its pong comes behind what it sends, and is not read while its messages wait: none of these counts against it. Looks
 * are counted instead of time, so that a busy server does not blame its clients.
 */
function pingRegularly(
  socket: WebSocket,
  connection: Socket,
  limits: SocketLimits,
  log: Logger,
  pingEveryMs: number,
): () => void {
  let isAnswered = true;
  let silentLooks = 0;
  let before = { taken: 0, queued: 0, received: 0 };
  socket.on('pong', () => {
    isAnswered = true;
  });
  const timer = setInterval(() => {
    const hasUnsent = socket.bufferedAmount > 0;
    const now = {
      taken: connection.bytesWritten - socket.bufferedAmount,
      queued: queuedBytes(connection),
      received: connection.bytesRead,
    };
    const isReading = hasUnsent && (now.taken > before.taken || now.queued !== before.queued);
    const isSending = !hasUnsent && (now.received > before.received || limits.isWaiting);
    before = now;
    silentLooks = isAnswered || isReading || isSending ? 0 : silentLooks + 1;
    if (silentLooks >= MAX_SILENT_LOOKS) {
      log.info(
        { address: connection.remoteAddress, unsentBytes: socket.bufferedAmount },
        'client does not read its WebSocket; connection closed',
      );
      socket.terminate();
    } else if (socket.readyState === socket.OPEN && isAnswered) {
      isAnswered = false;
      socket.ping();
    }
  }, pingEveryMs);
  return () => clearInterval(timer);
}
