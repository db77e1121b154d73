import { expect, test } from 'vitest';
import { endWithBody, RequestsInProgress } from './requests-in-progress.ts';

function openRequest(
  body: ReadableStream<Uint8Array>,
  { type = 'multipart/mixed; boundary="-"', method = 'POST' } = {},
) {
  const requests = new RequestsInProgress();
  const answer = new Response(body, { headers: { 'content-type': type } });
  const response = endWithBody(new Request('http://app.test/graphql', { method }), answer, requests.begin());
  let hasEnded = false;
  void requests.whenEnded(60_000).then(() => {
    hasEnded = true;
  });
  return { response, hasEnded: () => new Promise<boolean>((resolve) => setImmediate(() => resolve(hasEnded))) };
}

const never = () => new ReadableStream<Uint8Array>({ pull: () => new Promise(() => undefined) });

test('a response in parts ends with its last one', async () => {
  const parts = new ReadableStream<Uint8Array>({
    start(controller) {
      for (const part of ['a', 'b']) controller.enqueue(new TextEncoder().encode(part));
      controller.close();
    },
  });
  const { response, hasEnded } = openRequest(parts);
  expect(await hasEnded()).toBe(false);
  expect(response.headers.get('content-type')).toContain('multipart/mixed');
  expect(await response.text()).toBe('ab');
  expect(await hasEnded()).toBe(true);
});

test('a response in parts ends when nobody wants it anymore, also in the middle of a read', async () => {
  const unread = openRequest(never());
  await unread.response.body!.cancel();
  expect(await unread.hasEnded()).toBe(true);
  const { response, hasEnded } = openRequest(never());
  const reader = response.body!.getReader();
  const read = reader.read();
  expect(await hasEnded()).toBe(false);
  await reader.cancel();
  expect(await read).toMatchObject({ done: true });
  expect(await hasEnded()).toBe(true);
});

test('a response in parts that fails has ended', async () => {
  const failing = new ReadableStream<Uint8Array>({ pull: () => Promise.reject(new Error('broken')) });
  const { response, hasEnded } = openRequest(failing);
  await expect(response.text()).rejects.toThrow('broken');
  expect(await hasEnded()).toBe(true);
});

test.each([{ type: 'application/json' }, { method: 'HEAD' }])(
  'other responses are complete at once: %j',
  async (one) => {
    const { hasEnded } = openRequest(never(), one);
    expect(await hasEnded()).toBe(true);
  },
);
