/** Answers outside the GraphQL framework: from the HTTP parser, before routing, or on a bare socket. */
import { type ServerResponse, STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { ErrorCode } from '@inferql/queue/error-codes';
import { SECURITY_HEADERS } from '../responses/security-headers.ts';

interface RawResponse {
  status: number;
  code: ErrorCode;
  /** For people: what happened, then what to do. */
  message: string;
}

/** The errors of a GraphQL response, so that clients read this answer like any other. */
function encode({ code, message }: RawResponse): string {
  return `${JSON.stringify({ errors: [{ message, extensions: { code } }] })}\n`;
}

const JSON_TYPE = 'application/json; charset=utf-8';

/** Answers through Node's response. What the framework later writes to the same response is dropped. */
export function answerRaw(response: ServerResponse, answer: RawResponse, headers: Record<string, string> = {}): void {
  if (response.headersSent || response.destroyed) return;
  const body = encode(answer);
  response.writeHead(answer.status, {
    ...SECURITY_HEADERS,
    'content-type': JSON_TYPE,
    'content-length': Buffer.byteLength(body),
    ...headers,
  });
  response.end(body);
}

/** Answers on a socket that has no response, and closes it. */
export function answerOnSocket(socket: Duplex, answer: RawResponse): void {
  const body = encode(answer);
  const headers: Record<string, string | number> = {
    connection: 'close',
    ...SECURITY_HEADERS,
    'content-type': JSON_TYPE,
    'content-length': Buffer.byteLength(body),
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  // Node takes its own listener off before it emits 'upgrade'. Without one, a connection that the client resets now would end the process.
  socket.on('error', () => socket.destroy());
  // The port closes only after all its connections, and the other side may keep this one open forever.
  socket.once('finish', () => socket.destroy());
  socket.end(`HTTP/1.1 ${answer.status} ${STATUS_CODES[answer.status]}\r\n${lines.join('\r\n')}\r\n\r\n${body}`);
}
