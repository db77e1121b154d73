/** Shared by the tests of forms: bodies, and what reads them. */
import { Readable } from 'node:stream';

export const LIMITS = { maxFiles: 3, maxFileBytes: 3_000_000, maxFieldBytes: 1_000, maxBodyBytes: 10_000_000 };
export const TYPE = 'multipart/form-data; boundary=b0und';
export const OPERATIONS = '{"query":"mutation","variables":{"image":null}}';
export const MAP = '{"0":["variables.image"]}';

export type Part = [name: string, content: string | Buffer, filename?: string];

export function makeBody(parts: Part[], end = '--b0und--\r\n'): Buffer {
  const pieces = parts.flatMap(([name, content, filename]) => [
    Buffer.from(
      `--b0und\r\ncontent-disposition: form-data; name="${name}"${filename ? `; filename="${filename}"` : ''}\r\n\r\n`,
    ),
    Buffer.from(content),
    Buffer.from('\r\n'),
  ]);
  return Buffer.concat([...pieces, Buffer.from(end)]);
}

export const PLAIN: Part[] = [
  ['operations', OPERATIONS],
  ['map', MAP],
];

/** As a connection gives it: in pieces of at most `pieceBytes`. */
export function splitBody(body: Buffer, pieceBytes = 65_536): Readable {
  const pieces: Buffer[] = [];
  for (let at = 0; at < body.length; at += pieceBytes) pieces.push(body.subarray(at, at + pieceBytes));
  return Readable.from(pieces);
}
