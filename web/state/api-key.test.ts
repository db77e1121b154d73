import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, expect, test, vi } from 'vitest';
import { findRefusal } from './api-key.ts';

afterEach(() => {
  vi.unstubAllGlobals();
});

function answer(body: object, status = 200) {
  vi.stubGlobal('fetch', async () => Response.json(body, { status }));
}

test('a key is good if the page may send photos and read predictions with it', async () => {
  answer({ data: { viewer: { scopes: ['INFER', 'READ', 'OPERATE'] } } });
  expect(await findRefusal('http://server', 'key')).toBeUndefined();
});

test.each([
  [['INFER'], 'does not have read.'],
  [['READ', 'TOKENS'], 'does not have infer.'],
  [[], 'does not have infer and read.'],
])('a key with the scopes %j is refused with the scopes that it lacks', async (scopes, reason) => {
  answer({ data: { viewer: { scopes } } });
  expect(await findRefusal('http://server', 'key')).toContain(reason);
});

test('a key that the server does not know is refused with its reason', async () => {
  answer({ errors: [{ message: 'This key was revoked.' }] }, 401);
  expect(await findRefusal('http://server', 'key')).toBe('This key was revoked.');
});

test('a key with characters that no request can carry is not blamed on the server', async () => {
  answer({ data: { viewer: { scopes: ['INFER', 'READ'] } } });
  expect(await findRefusal('http://server', '“key”')).toBe('This key has characters that no key can have.');
});

test('a server that never answers is reported, and the key can be tried again', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  try {
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    expect(await findRefusal(`http://127.0.0.1:${port}`, 'key', 20)).toBe('The server is not responding. Try again.');
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
