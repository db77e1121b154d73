import { afterEach, expect, test, vi } from 'vitest';
import { copyText } from './clipboard.ts';

afterEach(() => {
  vi.unstubAllGlobals();
});

test.each([
  ['copies', async () => undefined, true],
  ['refuses', () => Promise.reject(new DOMException('Document is not focused.', 'NotAllowedError')), false],
])('a browser that %s is reported', async (_what, writeText, isCopied) => {
  vi.stubGlobal('navigator', { clipboard: { writeText } });
  expect(await copyText('http://server/p/a')).toBe(isCopied);
});
