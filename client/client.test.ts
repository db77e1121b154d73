import { expect, test, vi } from 'vitest';
import { createClient } from './client.ts';

const refuse: typeof fetch = () => Promise.reject(new TypeError('fetch failed'));

test("errors that are retried are reported to the call's onRetry, or else to the client's", async () => {
  const [ofClient, ofCall] = [vi.fn(), vi.fn()];
  const client = createClient({ fetch: refuse, retryForMs: 300, onRetry: ofClient });
  await expect(client.models({ onRetry: ofCall })).rejects.toMatchObject({ code: 'UNREACHABLE' });
  expect(ofCall).toHaveBeenCalled();
  expect(ofClient).not.toHaveBeenCalled();
  await expect(client.models()).rejects.toMatchObject({ code: 'UNREACHABLE' });
  expect(ofClient).toHaveBeenCalledWith(expect.objectContaining({ code: 'UNREACHABLE' }));
});

test.each([0, -1, Number.NaN])('maxUploads %d, which would let no upload begin, is refused', (maxUploads) => {
  expect(() => createClient({ maxUploads })).toThrow(RangeError);
});
