/** WebSocket connections that send messages of graphql-transport-ws in any order, and frames that may be anything. */
import { randomBytes } from 'node:crypto';
import { connect } from 'node:net';
import { findLeak } from './answer-rules.ts';
import type { DocumentGenerator } from './documents.ts';
import { HANG_MS } from './exchange.ts';
import { type Dice, deepText, oddText, oddValue } from './random-choices.ts';
import { toJson } from './requests.ts';

const TEXT = 1;
const CLOSE = 8;
const PING = 9;
const PONG = 10;
/** How a server says that it failed: RFC 6455's and graphql-transport-ws' codes. */
const FAILURES = [1011, 4500];

export interface SocketCase {
  how: string;
  handshake: string;
  frames: Buffer[];
}

export function makeSocketCase(documents: DocumentGenerator, dice: Dice): SocketCase {
  const isOdd = dice.chance(0.1);
  const lines = [
    `GET ${isOdd ? dice.pick(['/graphql', '/', '/graphql?x=%zz', '//graphql']) : '/graphql'} HTTP/1.1`,
    'Host: localhost',
    'Connection: Upgrade',
    'Upgrade: websocket',
    `Sec-WebSocket-Version: ${isOdd ? dice.pick(['13', '8', 'x', '']) : 13}`,
    `Sec-WebSocket-Key: ${isOdd && dice.chance(0.3) ? 'short' : randomBytes(16).toString('base64')}`,
    `Sec-WebSocket-Protocol: ${isOdd ? dice.pick(['graphql-ws', '', 'graphql-transport-ws, graphql-transport-ws', '\u00e9', ',']) : 'graphql-transport-ws'}`,
    ...(isOdd
      ? [
          dice.pick([
            'Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=99',
            'Sec-WebSocket-Extensions: x;;;',
            'Origin: http://evil.example',
            'Content-Length: 10',
            'X: y',
          ]),
        ]
      : []),
  ];
  const frames: Buffer[] = [];
  const how: string[] = isOdd ? ['an odd handshake'] : [];
  if (dice.chance(0.85)) frames.push(frame(TEXT, Buffer.from('{"type":"connection_init"}')));
  for (let left = 1 + dice.below(12); left > 0; left--) {
    if (dice.chance(0.2)) {
      const [name, odd] = oddFrames(dice);
      how.push(name);
      frames.push(...odd);
    } else frames.push(frame(TEXT, Buffer.from(message(documents, dice))));
  }
  return { how: how.join(', ') || 'messages', handshake: `${lines.join('\r\n')}\r\n\r\n`, frames };
}

function message(documents: DocumentGenerator, dice: Dice): string {
  const id = dice.chance(0.9) ? String(dice.below(4)) : oddValue(dice);
  const ways: (() => unknown)[] = [
    () => ({ id, type: 'subscribe', payload: documents.params(dice) }),
    () => ({ id, type: 'subscribe', payload: documents.params(dice) }),
    () => ({ id, type: 'subscribe', payload: { query: 'subscription { queue { waiting } }' } }),
    () => ({ id, type: 'subscribe', payload: { query: '{ models { name } }' } }),
    () => ({ id, type: 'complete' }),
    () => ({ type: 'ping', payload: oddValue(dice) }),
    () => ({ type: 'pong' }),
  ];
  const wrong: (() => unknown)[] = [
    () => ({ type: 'connection_init', payload: oddValue(dice) }),
    () => ({ id, type: 'subscribe', payload: oddValue(dice) }),
    () => ({
      id,
      type: dice.pick(['next', 'error', 'connection_ack', 'start', '__proto__', 7]),
      payload: oddValue(dice),
    }),
    () => oddValue(dice),
  ];
  if (dice.chance(0.02))
    return dice.pick([
      `{"type":"ping","payload":{"a":${deepText(dice)}}}`,
      `{"id":"d","type":"subscribe","payload":{"query":"query($v0:ID!){prediction(id:$v0){id}}","variables":{"v0":${deepText(dice)}}}}`,
    ]);
  const text = toJson(dice.pick(dice.chance(0.9) ? ways : wrong)());
  return dice.chance(0.02) ? text.slice(0, dice.below(text.length)) : dice.chance(0.02) ? oddText(dice) : text;
}

function oddFrames(dice: Dice): [string, Buffer[]] {
  const ping = Buffer.from('{"type":"ping"}');
  const ways: Record<string, () => Buffer[]> = {
    'an unknown opcode': () => [frame(dice.pick([3, 5, 7, 11, 15]), ping)],
    'reserved bits': () => [frame(TEXT, ping, { reserved: 1 + dice.below(7) })],
    'no mask': () => [frame(TEXT, ping, { masked: false })],
    'a message in pieces': () => [
      frame(TEXT, ping.subarray(0, 4), { final: false }),
      frame(PING, Buffer.from('x')),
      frame(0, ping.subarray(4)),
    ],
    'a message in 2,000 pieces': () => [
      frame(TEXT, ping, { final: false }),
      ...Array.from({ length: 2_000 }, () => frame(0, Buffer.alloc(0), { final: false })),
    ],
    'a piece without a beginning': () => [frame(0, ping)],
    'a beginning without an end': () => [frame(TEXT, ping, { final: false }), frame(TEXT, ping)],
    'a message that is too long': () => [frame(TEXT, Buffer.alloc(300_000, 32))],
    'a length of 2^63': () => [Buffer.from([0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0])],
    'a length of 4 GB': () => [Buffer.from([0x81, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0])],
    'a long ping': () => [frame(PING, Buffer.alloc(126))],
    'a ping in pieces': () => [frame(PING, ping, { final: false })],
    'many pings': () => Array.from({ length: 500 }, () => frame(PING, Buffer.alloc(125))),
    'text that is not UTF-8': () => [frame(TEXT, Buffer.from([0xc3, 0x28, 0xff]))],
    'a binary message': () => [frame(2, ping)],
    'a close code that is none': () => [
      frame(CLOSE, Buffer.from([...dice.pick([[3, 231], [3, 236], [255, 255], [0, 0], [3]])])),
    ],
    'a close with a bad reason': () => [frame(CLOSE, Buffer.from([3, 232, 0xff, 0xff]))],
    'a close, and more': () => [frame(CLOSE, Buffer.from([3, 232])), frame(TEXT, ping)],
    'bytes that are not a frame': () => [Buffer.from(Array.from({ length: 40 }, () => dice.below(256)))],
  };
  const how = dice.pick(Object.keys(ways));
  return [how, ways[how]!()];
}

function frame(opcode: number, payload: Buffer, { final = true, masked = true, reserved = 0 } = {}): Buffer {
  const { length } = payload;
  const head = Buffer.alloc(2 + (length > 65_535 ? 8 : length > 125 ? 2 : 0));
  head[0] = (final ? 0x80 : 0) | (reserved << 4) | opcode;
  head[1] = (masked ? 0x80 : 0) | (length > 65_535 ? 127 : length > 125 ? 126 : length);
  if (length > 65_535) head.writeBigUInt64BE(BigInt(length), 2);
  else if (length > 125) head.writeUInt16BE(length, 2);
  if (!masked) return Buffer.concat([head, payload]);
  const mask = Buffer.from([1, 2, 3, 4]);
  return Buffer.concat([head, mask, payload.map((byte, i) => byte ^ mask[i % 4]!)]);
}

/**
 * Sends all of it, then a ping. A server has to answer that, or to close the connection.
 * @returns a verdict; those that are faults begin with `FAULT`
 */
export function runSocketCase(address: URL, { handshake, frames }: SocketCase): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect({ host: address.hostname, port: Number(address.port) });
    let received = Buffer.alloc(0);
    let isOpen = false;
    const settle = (verdict: string) => {
      clearTimeout(limit);
      socket.destroy();
      resolve(verdict);
    };
    const limit = setTimeout(() => settle('FAULT: hung'), HANG_MS);
    socket.on('connect', () => socket.write(handshake));
    socket.on('data', (chunk) => {
      received = Buffer.concat([received, chunk]);
      if (!isOpen) {
        const end = received.indexOf('\r\n\r\n');
        if (end < 0) return;
        const head = received.toString('latin1', 0, end);
        if (!head.startsWith('HTTP/1.1 101')) {
          const status = /^HTTP\/1\.1 (\d+)/.exec(head)?.[1] ?? '?';
          const leak = findLeak(received.toString('utf8'));
          return settle(leak ?? (status.startsWith('5') ? `FAULT: ${status}` : `handshake ${status}`));
        }
        isOpen = true;
        received = received.subarray(end + 4);
        socket.write(Buffer.concat([...frames, frame(PING, Buffer.from('fuzz'))]));
      }
      for (let next = takeFrame(received); next; next = takeFrame(received)) {
        received = received.subarray(next.length);
        const verdict = judgeFrame(next.opcode, next.payload);
        if (verdict) return settle(verdict);
      }
    });
    socket.on('close', () => settle(isOpen ? 'cut' : 'handshake closed'));
    socket.on('error', () => undefined);
  });
}

/** Undefined if more frames may follow. */
function judgeFrame(opcode: number, payload: Buffer): string | undefined {
  if (opcode === PONG) return payload.toString() === 'fuzz' ? 'alive after all of it' : undefined;
  if (opcode === CLOSE) {
    const code = payload.length >= 2 ? payload.readUInt16BE(0) : 1005;
    return (
      findLeak(payload.toString('utf8', 2)) ??
      (FAILURES.includes(code) ? `FAULT: closed with ${code}` : `closed with ${code}`)
    );
  }
  if (opcode !== TEXT) return opcode === PING ? undefined : `FAULT: opcode ${opcode}`;
  const text = payload.toString('utf8');
  const leak = findLeak(text);
  if (leak) return leak;
  try {
    const { type } = JSON.parse(text) as { type?: string };
    return ['connection_ack', 'next', 'error', 'complete', 'ping', 'pong'].includes(type ?? '')
      ? undefined
      : `FAULT: a message of type ${type}`;
  } catch {
    return 'FAULT: not JSON';
  }
}

/** The first frame of a server, which masks nothing. */
function takeFrame(bytes: Buffer): { opcode: number; payload: Buffer; length: number } | undefined {
  if (bytes.length < 2) return undefined;
  const short = bytes[1]! & 0x7f;
  const headLength = short === 127 ? 10 : short === 126 ? 4 : 2;
  if (bytes.length < headLength) return undefined;
  const size = short === 127 ? Number(bytes.readBigUInt64BE(2)) : short === 126 ? bytes.readUInt16BE(2) : short;
  if (bytes.length < headLength + size) return undefined;
  return {
    opcode: bytes[0]! & 0x0f,
    payload: bytes.subarray(headLength, headLength + size),
    length: headLength + size,
  };
}
