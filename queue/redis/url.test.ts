import { expect, test } from 'vitest';
import { parseRedisUrl } from './url.ts';

const local = { kind: 'single', hosts: [{ host: 'localhost', port: 6379 }], tls: false, shown: 'localhost:6379' };

test.each([
  ['redis://localhost', local],
  ['redis://localhost:6379/', local],
  ['redis://localhost/3', { ...local, db: 3 }],
  ['redis://localhost?family=6', { ...local, family: 6 }],
  [
    'rediss://localhost:6380',
    { ...local, hosts: [{ host: 'localhost', port: 6380 }], tls: true, shown: 'localhost:6380' },
  ],
  ['redis://[::1]:7000', { ...local, hosts: [{ host: '::1', port: 7000 }], shown: '[::1]:7000' }],
  [
    '/run/redis.sock',
    { kind: 'single', hosts: [], socketPath: '/run/redis.sock', tls: false, shown: '/run/redis.sock' },
  ],
  [
    'redis+cluster://a:1,b',
    {
      kind: 'cluster',
      hosts: [
        { host: 'a', port: 1 },
        { host: 'b', port: 6379 },
      ],
      tls: false,
      shown: 'a:1,b:6379',
    },
  ],
  ['redis+cluster://a:1/0', { kind: 'cluster', hosts: [{ host: 'a', port: 1 }], tls: false, shown: 'a:1' }],
  [
    'rediss+sentinel://:secret@a,b:2/main',
    {
      kind: 'sentinel',
      hosts: [
        { host: 'a', port: 26_379 },
        { host: 'b', port: 2 },
      ],
      masterName: 'main',
      password: 'secret',
      tls: true,
      shown: 'a:26379,b:2',
    },
  ],
  [
    'redis+sentinel://a/main?family=4&sentinelUsername=me&sentinelPassword=a+b%40=',
    {
      kind: 'sentinel',
      hosts: [{ host: 'a', port: 26_379 }],
      masterName: 'main',
      family: 4,
      sentinelUsername: 'me',
      sentinelPassword: 'a+b@=',
      tls: false,
      shown: 'a:26379',
    },
  ],
])('%s', (url, address) => {
  expect(parseRedisUrl(url)).toEqual(address);
});

test.each(['redis', 'redis+cluster', 'redis+sentinel'])('%s:// takes user and password in the same way', (scheme) => {
  const read = (credentials: string) => {
    const { username, password } = parseRedisUrl(
      `${scheme}://${credentials}localhost${scheme.includes('sent') ? '/m' : ''}`,
    );
    return [username, password];
  };
  expect(read('')).toEqual([undefined, undefined]);
  expect(read('@')).toEqual([undefined, undefined]);
  expect(read(':secret@')).toEqual([undefined, 'secret']);
  expect(read('secret@')).toEqual([undefined, 'secret']);
  expect(read('app:secret@')).toEqual(['app', 'secret']);
  expect(read('app:pa:ss:@')).toEqual(['app', 'pa:ss:']);
  expect(read('a%3Ap:p%40%2F%25@')).toEqual(['a:p', 'p@/%']);
});

test.each([
  ['', /is not an address/],
  ['localhost:6379', /is not an address/],
  ['http://localhost', /is not an address/],
  ['unix:///redis.sock', /is not an address/],
  ['redis://', /is not an address/],
  ['redis://:secret@', /is not an address/],
  ['redis://a:b@c@d', /is not an address/],
  ['redis://localhost:99999', /'localhost:99999' is not host:port/],
  ['redis://localhost:0', /'localhost:0' is not host:port/],
  ['redis://a,b', /several hosts/],
  ['redis://localhost/first', /'first' is not the number of a database/],
  ['redis+cluster://localhost/1', /no databases/],
  ['redis+sentinel://localhost', /name of the master/],
  ['redis://localhost?tls=no', /'tls' is not supported/],
  ['redis://localhost?sentinelPassword=secret', /'sentinelPassword' needs redis\+sentinel/],
  ['redis+sentinel://localhost/main?sentinelPassword=a&b', /must be written as %26/],
  ['redis://localhost?family=5', /family is 0, 4 or 6/],
  ['redis://:50%@localhost', /must be written as %25/],
  ['redis://me:a/b@localhost', /'\/'.* must be written as %2F/],
])("'%s' is refused, with what was expected", (url, message) => {
  expect(() => parseRedisUrl(url)).toThrow(message);
  expect(() => parseRedisUrl(url)).toThrow(TypeError);
});

test('a refusal does not repeat a password', () => {
  for (const url of [
    ...['redis://:hidden@', 'redis://:hidden@a,b', 'http://:hidden@host', 'redis://:hidden@host?x=1'],
    ...['redis://me:hidden/1@host', 'redis://me:1/hidden@host', 'redis://me:1?hidden@host', 'redis://me:hidden#1@host'],
    ...[
      'redis+sentinel://host/main?sentinelPassword=1&hidden',
      'redis+sentinel://host/main?sentinelPassword=&hidden=1',
    ],
  ]) {
    expect(() => parseRedisUrl(url)).toThrow(
      expect.not.objectContaining({ message: expect.stringContaining('hidden') }),
    );
  }
});
