/** One request on a bare socket, so that it may be anything, and what comes back. */
import { connect } from 'node:net';

/** Past it a request counts as hung: no limit of the server is longer. */
export const HANG_MS = 35_000;

export interface HttpCase {
  /** What it is, for the counts. */
  kind: string;
  /** What is wrong with it, for the list of faults. */
  how: string;
  bytes: Buffer;
  /** Closes the sending side after the bytes; a request that never ends is refused only after half a minute. */
  ends: boolean;
  /** It is a complete HTTP request: it must be answered. */
  isWhole: boolean;
}

export interface HttpAnswer {
  status: number;
  headers: Map<string, string>;
  body: string;
}

/** The first answer to a request, or how the connection ended without one. */
export type Exchange = { answer: HttpAnswer; tookMs: number } | { end: 'closed' | 'hung'; tookMs: number };

export function exchange(address: URL, { bytes, ends }: HttpCase): Promise<Exchange> {
  const startedAt = performance.now();
  return new Promise((resolve) => {
    const socket = connect({ host: address.hostname, port: Number(address.port), allowHalfOpen: true });
    let received = Buffer.alloc(0);
    const settle = (found: { answer: HttpAnswer } | { end: 'closed' | 'hung' }) => {
      clearTimeout(limit);
      socket.destroy();
      resolve({ ...found, tookMs: performance.now() - startedAt });
    };
    const look = (isClosed: boolean) => {
      const answer = parseAnswer(received, isClosed);
      if (answer) settle({ answer });
      else if (isClosed) settle({ end: 'closed' });
    };
    const limit = setTimeout(() => settle({ end: 'hung' }), HANG_MS);
    socket.on('connect', () => {
      if (ends) socket.end(bytes);
      else socket.write(bytes);
    });
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      look(false);
    });
    socket.on('end', () => look(true));
    socket.on('close', () => look(true));
    // A connection that the server resets: 'close' follows.
    socket.on('error', () => undefined);
  });
}

/** Undefined while the answer is not complete. A stream is complete with its first event. */
function parseAnswer(bytes: Buffer, isClosed: boolean): HttpAnswer | undefined {
  const end = bytes.indexOf('\r\n\r\n');
  if (end < 0) return undefined;
  const [first = '', ...lines] = bytes.toString('latin1', 0, end).split('\r\n');
  const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(first)?.[1]);
  if (status === 100) return parseAnswer(bytes.subarray(end + 4), isClosed);
  const headers = new Map(
    lines.map((line) => [line.split(':')[0]!.toLowerCase(), line.slice(line.indexOf(':') + 1).trim()]),
  );
  const rest = bytes.subarray(end + 4);
  const type = headers.get('content-type') ?? '';
  const length = headers.get('content-length');
  if (status === 101 || status === 204 || status === 304) return { status, headers, body: '' };
  if (/^text\/event-stream|^multipart\/mixed/.test(type)) {
    return rest.length > 0 || isClosed ? { status, headers, body: rest.toString('utf8') } : undefined;
  }
  if (length !== undefined && rest.length >= Number(length)) {
    return { status, headers, body: rest.toString('utf8', 0, Number(length)) };
  }
  if (headers.get('transfer-encoding') === 'chunked') {
    const body = joinChunks(rest);
    if (body) return { status, headers, body: body.toString('utf8') };
  }
  // A HEAD announces a length and sends nothing.
  return isClosed ? { status, headers, body: rest.toString('utf8') } : undefined;
}

function joinChunks(bytes: Buffer): Buffer | undefined {
  const chunks: Buffer[] = [];
  for (let at = 0; ; ) {
    const line = bytes.indexOf('\r\n', at);
    if (line < 0) return undefined;
    const size = Number.parseInt(bytes.toString('latin1', at, line), 16);
    if (size === 0) return Buffer.concat(chunks);
    if (bytes.length < line + 2 + size + 2) return undefined;
    chunks.push(bytes.subarray(line + 2, line + 2 + size));
    at = line + 2 + size + 2;
  }
}
