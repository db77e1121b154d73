/** Answers what Node's HTTP parser refuses, with a message and the headers of every response. */
import type { RequestListener, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { answerOnSocket, answerRaw } from './raw-response.ts';

const ANSWERS: Record<string, Parameters<typeof answerOnSocket>[1]> = {
  HPE_HEADER_OVERFLOW: {
    status: 431,
    code: 'REQUEST_TOO_LARGE',
    message: 'The headers of the request, or its URL, are larger than 16 KiB. Send long documents by POST.',
  },
  ERR_HTTP_REQUEST_TIMEOUT: {
    status: 408,
    code: 'REQUEST_TIMEOUT',
    message: 'The headers of the request did not arrive in time. Send it again.',
  },
};
const MALFORMED = { status: 400, code: 'BAD_REQUEST', message: 'This is not an HTTP/1.1 request.' } as const;

/**
 * Answers what cannot be parsed, and unknown `Expect` headers.
 * @param boundBody called with a request before it is answered. @default none: the server's own timeout bounds bodies
 */
export function answerParserErrors(server: Server, boundBody?: RequestListener): void {
  server.on('clientError', (error: NodeJS.ErrnoException, socket: Duplex) => {
    // In the middle of an answer nothing else can be sent, and nothing on a closed connection.
    const isAnswering = (socket as { _httpMessage?: { headersSent: boolean } | null })._httpMessage?.headersSent;
    if (error.code === 'ECONNRESET' || !socket.writable || isAnswering) socket.destroy(error);
    else answerOnSocket(socket, ANSWERS[error.code ?? ''] ?? MALFORMED);
  });
  server.on('checkExpectation', (request, response) => {
    boundBody?.(request, response);
    answerRaw(response, {
      status: 417,
      code: 'BAD_REQUEST',
      message: 'The Expect header has an unsupported value. Only 100-continue is supported.',
    });
  });
}
