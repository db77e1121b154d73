import { InferqlError, type Queue } from '@inferql/client';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { type Api, createApi } from './api.ts';
import { type QueueHistory, watchQueue } from './queue.ts';

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
});

const QUEUE = { model: 'resnet50', waiting: 3 } as Queue;

/** Watches a queue whose subscription brings one state and then ends with this error. */
async function watchUntil(error: InferqlError, key?: string) {
  const onRefused = vi.fn();
  const api = createApi('http://server', { key, onRefused });
  async function* events() {
    yield QUEUE;
    throw error;
  }
  const client = { watchQueue: events } as unknown as Api['client'];
  const shown: QueueHistory[] = [];
  const stop = watchQueue({ ...api, client }, undefined, (history) => shown.push(history));
  await vi.advanceTimersByTimeAsync(0);
  stop();
  return { shown, onRefused };
}

test('the numbers of a queue that is gone are not shown as current', async () => {
  const { shown, onRefused } = await watchUntil(new InferqlError('MODEL_NOT_FOUND', 'no'));
  expect(shown.map(({ now }) => now)).toEqual([QUEUE, undefined]);
  expect(onRefused).not.toHaveBeenCalled();
});

test.each([
  ['UNAUTHENTICATED', undefined, 1],
  ['FORBIDDEN', 'a key without the scope', 1],
  // The server knows its callers in another way.
  ['FORBIDDEN', undefined, 0],
] as const)('the error %s with the key %s asks for a key %i times', async (code, key, times) => {
  const { onRefused } = await watchUntil(new InferqlError(code, 'no'), key);
  expect(onRefused).toHaveBeenCalledTimes(times);
});

test('the refusal of a key that has been replaced asks for no key, and the queue is watched with the new one', async () => {
  const onRefused = vi.fn();
  const api = createApi('http://server', { key: 'old', onRefused });
  const keys: (string | undefined)[] = [];
  let refuse = () => {};
  const refusal = new Promise<never>((_resolve, reject) => {
    refuse = () => reject(new InferqlError('FORBIDDEN', 'no'));
  });
  async function* events() {
    keys.push(api.getKey());
    yield QUEUE;
    await (keys.length > 1 ? new Promise(() => {}) : refusal);
  }
  const client = { watchQueue: events } as unknown as Api['client'];
  const stop = watchQueue({ ...api, client }, undefined, () => {});
  await vi.advanceTimersByTimeAsync(0);
  api.changeKey('new');
  refuse();
  await vi.advanceTimersByTimeAsync(2_000);
  stop();
  expect(onRefused).not.toHaveBeenCalled();
  expect(keys).toEqual(['old', 'new']);
});

test('the 401 of a proxy asks for no key', async () => {
  const { onRefused } = await watchUntil(new InferqlError('UNAUTHENTICATED', 'no', { httpStatus: 401 }), 'key');
  expect(onRefused).not.toHaveBeenCalled();
});
