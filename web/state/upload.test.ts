import type { Client } from '@inferql/client';
import { expect, test, vi } from 'vitest';
import { uploadImage } from './upload.ts';

const listeners = { onProgress() {}, onDelay() {}, onFitted() {} };

test('a file over the limit that this browser cannot make smaller is refused without being sent', async () => {
  const submit = vi.fn();
  const client = { submit, limits: async () => ({ maxUploadBytes: 10_485_760 }) } as unknown as Client;
  // There is no web worker here, as there is no picture in it.
  const file = new File([new Uint8Array(10_485_761)], 'film.mp4');
  const outcome = await uploadImage(client, { file, model: undefined }, listeners, new AbortController().signal);
  expect(outcome).toEqual({
    kind: 'refused',
    problem: { code: 'TOO_LARGE', message: 'The server accepts files of up to 10.4 MB. Choose a smaller one.' },
  });
  expect(submit).not.toHaveBeenCalled();
});
