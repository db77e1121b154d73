import { afterEach, expect, test, vi } from 'vitest';
import { findRefusedOrigin } from './cross-origin.ts';

const SERVER = new URL('http://api.test/graphql');

/** A `fetch` that fails as a browser's does: for any reason with a TypeError. */
function browser({ isUp, allows }: { isUp: () => boolean; allows: boolean }): typeof fetch {
  return async (_url, { mode } = {}) => {
    if (isUp() && (allows || mode === 'no-cors')) return new Response(null);
    throw new TypeError('Failed to fetch');
  };
}

afterEach(() => {
  vi.unstubAllGlobals();
});

test('a server that answers, but not to this page, refuses its origin', async () => {
  vi.stubGlobal('location', { origin: 'http://page.test' });
  const refusing = browser({ isUp: () => true, allows: false });
  expect(await findRefusedOrigin(SERVER, refusing)).toBe('http://page.test');
});

test('a server that is down, was down for a moment, or allows the page does not refuse its origin', async () => {
  vi.stubGlobal('location', { origin: 'http://page.test' });
  expect(await findRefusedOrigin(SERVER, browser({ isUp: () => false, allows: true }))).toBeUndefined();
  expect(await findRefusedOrigin(SERVER, browser({ isUp: () => true, allows: true }))).toBeUndefined();
  let asked = 0;
  const flickering = browser({ isUp: () => ++asked !== 3, allows: false });
  expect(await findRefusedOrigin(SERVER, flickering)).toBeUndefined();
});

test('outside a browser, and on the page of the server itself, no request is made', async () => {
  const never: typeof fetch = () => expect.unreachable('asked');
  expect(await findRefusedOrigin(SERVER, never)).toBeUndefined();
  vi.stubGlobal('location', { origin: SERVER.origin });
  expect(await findRefusedOrigin(SERVER, never)).toBeUndefined();
});
