/** HTTP requests with GraphQL in them: by POST, by GET, compressed, as forms, and with headers that may be anything. */
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { damage } from '../fuzz-images/damage.ts';
import type { GraphqlParams } from './documents.ts';
import type { HttpCase } from './exchange.ts';
import type { Form } from './forms.ts';
import { type Dice, deepText } from './random-choices.ts';

const ACCEPTS = [
  'application/json',
  'application/graphql-response+json',
  'text/event-stream',
  'multipart/mixed',
  '*/*',
  'text/html',
  'image/png',
  'a/b;q=,,;=',
  'application/json;q=0, */*',
];
const CONTENT_TYPES = [
  'application/json; charset=utf-16',
  'application/graphql',
  'application/x-www-form-urlencoded',
  'text/plain',
  'multipart/mixed; boundary=x',
  'multipart/form-data',
  'application/json, text/plain',
  'x',
  '',
];
const ENCODINGS: [string, (bytes: Buffer) => Buffer][] = [
  ['gzip', (bytes) => gzipSync(bytes)],
  ['deflate', (bytes) => deflateSync(bytes)],
  ['br', (bytes) => brotliCompressSync(bytes)],
  ['gzip', (bytes) => bytes],
  ['zstd', (bytes) => bytes],
  ['gzip, gzip', (bytes) => gzipSync(gzipSync(bytes))],
  ['gzip', (bytes) => gzipSync(Buffer.concat([bytes, Buffer.alloc(50_000_000, 32)]), { level: 1 })],
];
const ODD_HEADERS = [
  'origin: null',
  'origin: http://evil.example',
  'cookie: a=b',
  'authorization: Bearer \x7f',
  'authorization: Bearer iql_live_x_y',
  `x-inferql-client: ${'c'.repeat(9_000)}`,
  'x-forwarded-for: 1.2.3.4, not an address',
  'last-event-id: done',
  'range: bytes=0-',
  'if-none-match: *',
  'expect: 100-continue',
  'expect: magic',
  'upgrade: h2c',
  'connection: upgrade, HTTP2-Settings',
  'transfer-encoding: gzip, chunked',
  'content-length: 4',
  'te: trailers',
  'host: a b',
  'host: evil.example',
  `x: ${'y'.repeat(20_000)}`,
  'sec-websocket-key: x',
];

interface RequestParts {
  method: string;
  path: string;
  headers: string[];
  body: Buffer;
}

export function graphqlRequest(params: GraphqlParams, dice: Dice): HttpCase {
  if (dice.chance(0.3)) return finish('graphql GET', asGet(params, dice), dice);
  const text = dice.chance(0.05)
    ? dice.pick([
        '',
        '[]',
        '[[]]',
        'null',
        '1',
        '"x"',
        '{',
        '\ufeff{}',
        '[{"query":"{__typename}"}]',
        `{"query":"{__typename}","variables":{"v0":${deepText(dice)}}}`,
        `{"query":"query($v0:ID!){prediction(id:$v0){id}}","variables":{"v0":${deepText(dice)}}}`,
        `{"query":"{__typename}","extensions":${deepText(dice)}}`,
        deepText(dice),
      ])
    : toJson(params);
  if (dice.chance(0.1)) {
    const form = new URLSearchParams(Object.entries(params).map(([name, value]) => [name, toText(value)])).toString();
    return finish(
      'graphql form',
      asPost(Buffer.from(form), ['content-type: application/x-www-form-urlencoded'], dice),
      dice,
    );
  }
  const [encoding, encode] = dice.chance(0.12) ? dice.pick(ENCODINGS) : ['', (bytes: Buffer) => bytes];
  const type = dice.chance(0.9) ? 'application/json' : dice.pick(CONTENT_TYPES);
  const headers = [`content-type: ${type}`, ...(encoding ? [`content-encoding: ${encoding}`] : [])];
  return finish('graphql POST', asPost(encode(Buffer.from(text)), headers, dice), dice);
}

export function formRequest(form: Form, dice: Dice): HttpCase {
  return finish('multipart', asPost(form.body, [`content-type: ${form.type}`], dice), dice, form.how);
}

function asGet(params: GraphqlParams, dice: Dice): RequestParts {
  const fields = Object.entries(params).map(([name, value]) => `${name}=${encode(toText(value), dice)}`);
  // Longer ones are refused by their length alone.
  const path = dice.chance(0.9) ? `/graphql?${fields.join('&')}`.slice(0, 14_000) : `/graphql?${fields.join('&')}`;
  return { method: dice.pick(['GET', 'GET', 'GET', 'HEAD']), path, headers: [], body: Buffer.alloc(0) };
}

function encode(text: string, dice: Dice): string {
  // encodeURIComponent throws at half a surrogate pair.
  const encoded = encodeURIComponent(text.replaceAll(/\p{Surrogate}/gu, '\ufffd'));
  return dice.chance(0.05) ? encoded.replace('%', '%%').slice(0, -1) : encoded;
}

function asPost(body: Buffer, headers: string[], dice: Dice): RequestParts {
  const method = dice.chance(0.97) ? 'POST' : dice.pick(['PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE', 'PROPFIND']);
  const path = dice.chance(0.97)
    ? '/graphql'
    : dice.pick(['/', '/graphql/', '/graphql?a=%zz', '//graphql', '/health/ready', '/assets/../x', '/%']);
  return { method, path, headers, body };
}

/** Writes the request down, as announced or chunked, and may damage its bytes. */
function finish(kind: string, { method, path, headers, body }: RequestParts, dice: Dice, how = ''): HttpCase {
  const lines = ['host: localhost', 'connection: close', `accept: ${dice.pick(ACCEPTS)}`, ...headers];
  if (dice.chance(0.95)) lines.push('x-graphql-yoga-csrf: 1');
  let isWhole = true;
  if (dice.chance(0.1)) {
    const odd = dice.pick(ODD_HEADERS);
    lines.push(odd);
    how += ` + ${odd.slice(0, 40)}`;
    isWhole = false;
  }
  let sent = body;
  if (method === 'HEAD' || method === 'GET') {
  } else if (dice.chance(0.2)) {
    lines.push('transfer-encoding: chunked');
    sent = toChunks(body, dice);
  } else if (dice.chance(0.03)) {
    lines.push(`content-length: ${body.length + dice.pick([-1, 1, 1000, 2 ** 31])}`);
    how += ' + another length';
    isWhole = false;
  } else lines.push(`content-length: ${body.length}`);
  const target = path.replaceAll(/[^\x21-\x7e]/g, '');
  let bytes = Buffer.concat([
    Buffer.from(`${method} ${target} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`, 'latin1'),
    sent,
  ]);
  if (dice.chance(0.08)) {
    const damaged = damage(bytes, bytes, dice.random);
    bytes = damaged.file as Buffer<ArrayBuffer>;
    how += ` + ${damaged.how}`;
    isWhole = false;
  }
  // What is not whole and does not end takes the server's limits: half a minute.
  return { kind, how: how || 'as it is', bytes, ends: isWhole ? false : dice.chance(0.97), isWhole };
}

function toChunks(body: Buffer, dice: Dice): Buffer {
  const pieces: Buffer[] = [];
  for (let at = 0; at < body.length; ) {
    const size = Math.min(body.length - at, 1 + dice.below(dice.chance(0.5) ? 20 : 20_000));
    // A thousand pieces are enough.
    const taken = pieces.length > 3_000 ? body.length - at : size;
    pieces.push(Buffer.from(`${taken.toString(16)}\r\n`), body.subarray(at, at + taken), Buffer.from('\r\n'));
    at += taken;
  }
  return Buffer.concat([...pieces, Buffer.from('0\r\n\r\n')]);
}

function toText(value: unknown): string {
  return typeof value === 'string' ? value : toJson(value);
}

export function toJson(value: unknown): string {
  return JSON.stringify(value) ?? '';
}
