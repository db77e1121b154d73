/** What keeps a program from ending after its last subscription: a timer, or an open connection. */
import { beforeEach, expect, test, vi } from 'vitest';
import {
  answerPolls,
  asked,
  dataOf,
  lastSocket,
  ScriptedSocket,
  seen,
  settle,
  watch,
} from './scripted-transports.fixture.ts';

// As in Node.
beforeEach(() => vi.stubGlobal('location', undefined));

test('nothing is left of a shared WebSocket', async () => {
  watch('a');
  await settle();
  await lastSocket().accept();
  const { id } = lastSocket().subscribed[0]!;
  await lastSocket().say({ type: 'next', id, payload: dataOf('a', 'SUCCEEDED') });
  await vi.advanceTimersByTimeAsync(1);
  expect(seen.a).toEqual(['SUCCEEDED', 'end']);
  expect([ScriptedSocket.made.map(({ isClosed }) => isClosed), vi.getTimerCount()]).toEqual([[true], 0]);
});

test('nothing is left of polled predictions', async () => {
  vi.stubGlobal('WebSocket', undefined);
  const stops = ['x', 'y', 'z'].map((id) => watch(id));
  watch('polled');
  await settle();
  for (const stop of stops) stop();
  await answerPolls('SUCCEEDED');
  await vi.advanceTimersByTimeAsync(1);
  expect(seen.polled).toEqual(['SUCCEEDED', 'end']);
  expect([asked.filter(({ signal }) => !signal.aborted), vi.getTimerCount()]).toEqual([[], 0]);
});
