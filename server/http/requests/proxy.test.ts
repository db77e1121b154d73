import type { IncomingMessage } from 'node:http';
import { trustedProxies } from '@inferql/settings/origins-and-proxies';
import { describe, expect, test } from 'vitest';
import { clientAddress, requestedHost } from './proxy.ts';

const parseTrustProxy = (text: string) => trustedProxies.parse(text)!;

function request(headers: Record<string, string>, remoteAddress = '10.0.0.9'): IncomingMessage {
  return { headers, socket: { remoteAddress } } as unknown as IncomingMessage;
}

describe('INFERQL_TRUST_PROXY', () => {
  test.each([
    ['10.0.0.0/8', '10.9.9.9', true],
    ['10.0.0.0/8', '::ffff:10.9.9.9', true],
    ['10.0.0.0/8', '11.0.0.1', false],
    ['192.0.2.1', '192.0.2.1', true],
    ['loopback', '127.0.0.5', true],
    ['loopback', '::1', true],
    ['loopback', '10.0.0.1', false],
    ['private, 192.0.2.1', '172.20.0.3', true],
    ['fd00::/8', 'fd12::1', true],
  ])('%s and the peer %s: %s', (list, peer, believed) => {
    const trust = parseTrustProxy(list);
    const asked = request({ host: 'inner:4000', 'x-forwarded-host': 'outer.test' }, peer);
    expect(requestedHost(asked, trust)).toBe(believed ? 'outer.test' : 'inner:4000');
  });
});

describe("the client's address", () => {
  const forwarded = { 'x-forwarded-for': '6.6.6.6, 203.0.113.7, 10.0.0.2' };
  test("is the peer's if no proxy is trusted", () => {
    expect(clientAddress(request(forwarded), false)).toBe('10.0.0.9');
  });
  test('is the last hop that is not a trusted proxy: what a client wrote itself does not count', () => {
    expect(clientAddress(request(forwarded), parseTrustProxy('private'))).toBe('203.0.113.7');
  });
  test('is the first if all are trusted', () => {
    expect(clientAddress(request(forwarded), true)).toBe('6.6.6.6');
  });
  test('is the peer if the header is not a list of addresses', () => {
    expect(clientAddress(request({ 'x-forwarded-for': 'unknown, <script>' }), true)).toBe('10.0.0.9');
  });
  test.each([
    ['6.6.6.6, 203.0.113.7:51234', '203.0.113.7'],
    ['6.6.6.6, 203.0.113.7:51234, 10.0.0.2:443', '203.0.113.7'],
    ['6.6.6.6, [2001:db8::7]:51234', '2001:db8::7'],
    ['6.6.6.6, [2001:db8::7]', '2001:db8::7'],
  ])('is read from an entry with a port: %s', (list, address) => {
    expect(clientAddress(request({ 'x-forwarded-for': list }), parseTrustProxy('private'))).toBe(address);
  });
  test.each([
    ['6.6.6.6, unknown', '10.0.0.9'],
    ['6.6.6.6, _hidden, 10.0.0.2', '10.0.0.2'],
    ['6.6.6.6, 203.0.113.7:http, 10.0.0.3, 10.0.0.2', '10.0.0.3'],
    ['6.6.6.6, , 10.0.0.2', '10.0.0.2'],
    ['6.6.6.6, 2001:db8::7:51234:80:80:80:80', '10.0.0.9'],
  ])('is never one before an unreadable entry, which the client may have written: %s', (list, address) => {
    expect(clientAddress(request({ 'x-forwarded-for': list }), parseTrustProxy('private'))).toBe(address);
  });
});
