/** Requests through real sockets, with bodies written by hand. */
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { CLASSIFY, type Server } from './server-harness.ts';

const BOUNDARY = 'frontier';

/** A multipart body written by hand. */
export function multipart(
  parts: [name: string, body: Buffer | string, filename?: string][],
  { end = true } = {},
): Buffer {
  const pieces = parts.flatMap(([name, body, filename]) => [
    `--${BOUNDARY}\r\ncontent-disposition: form-data; name="${name}"${filename ? `; filename="${filename}"` : ''}\r\n\r\n`,
    body,
    '\r\n',
  ]);
  if (end) pieces.push(`--${BOUNDARY}--\r\n`);
  return Buffer.concat(pieces.map((piece) => (typeof piece === 'string' ? Buffer.from(piece) : piece)));
}

export const MULTIPART_HEADERS = {
  'content-type': `multipart/form-data; boundary=${BOUNDARY}`,
  'x-graphql-yoga-csrf': '1',
};
export const OPERATIONS = JSON.stringify({ query: CLASSIFY, variables: { image: null } });
export const MAP = JSON.stringify({ 0: ['variables.image'] });

/** Sends a request through a real socket; the body may be sent in part only. */
export function send(url: string, headers: Record<string, string>) {
  const outgoing = httpRequest(`${url}/graphql`, { method: 'POST', headers });
  outgoing.on('error', () => undefined);
  const answer = once(outgoing, 'response').then(async ([response]) => {
    const chunks: Buffer[] = [];
    for await (const chunk of response as IncomingMessage) chunks.push(chunk as Buffer);
    return { status: (response as IncomingMessage).statusCode, text: Buffer.concat(chunks).toString() };
  });
  return { outgoing, answer };
}

export async function post(url: string, body: Buffer, headers: Record<string, string> = MULTIPART_HEADERS) {
  const { outgoing, answer } = send(url, headers);
  outgoing.end(body);
  return answer;
}

export async function open(server: Server): Promise<string> {
  return server.listener.listen();
}
