import type { IncomingMessage } from 'node:http';
import { trustedProxies } from '@inferql/settings/origins-and-proxies';
import { describe, expect, test } from 'vitest';
import { corsOptions, isAllowedOrigin } from './cors.ts';

test('pages of named origins may send credentials, those of any origin may not', () => {
  expect(corsOptions(['https://friend.test'])).toMatchObject({ origin: ['https://friend.test'], credentials: true });
  expect(corsOptions(['https://friend.test', '*'])).toMatchObject({ origin: '*', credentials: false });
});

describe('the origin of a WebSocket', () => {
  const cases: [string, Record<string, string>, string, boolean][] = [
    ['of a program', { host: 'a.test' }, 'off', true],
    ['of the server’s page', { host: 'a.test:4000', origin: 'http://a.test:4000' }, 'off', true],
    ['of another page', { host: 'a.test', origin: 'http://b.test' }, 'off', false],
    ['of another port', { host: 'a.test:4000', origin: 'http://a.test:5173' }, 'off', false],
    ['of a sandboxed page', { host: 'a.test', origin: 'null' }, 'off', false],
    ['of an allowed page', { host: 'a.test', origin: 'https://friend.test' }, 'off', true],
    [
      'behind a proxy that does not pass Host, in a browser that says so',
      { host: '127.0.0.1:4000', origin: 'https://a.test', 'sec-fetch-site': 'same-origin' },
      'off',
      true,
    ],
    [
      'of another page, in a browser that says so',
      { host: '127.0.0.1:4000', origin: 'https://b.test', 'sec-fetch-site': 'cross-site' },
      'off',
      false,
    ],
    [
      'behind a trusted proxy',
      { host: 'inner', 'x-forwarded-host': 'a.test', origin: 'https://a.test' },
      'private',
      true,
    ],
    ['behind no proxy', { host: 'inner', 'x-forwarded-host': 'b.test', origin: 'https://b.test' }, 'off', false],
    [
      'behind a trusted proxy that leaves the port out',
      { host: 'a.test', origin: 'http://a.test:8080' },
      'private',
      true,
    ],
  ];
  test.each(cases)('%s', (_name, headers, trust, allowed) => {
    const request = { headers, socket: { remoteAddress: '10.0.0.9' } } as unknown as IncomingMessage;
    expect(isAllowedOrigin(request, ['https://friend.test'], trustedProxies.parse(trust)!)).toBe(allowed);
  });
});
