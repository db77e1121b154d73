import { expect, test } from 'vitest';
import { createClient } from '../client.ts';
import { asked, dataOf, lastSocket, openStream, settle } from './scripted-transports.fixture.ts';

/** A client that watches a prediction, and how to see what its server sees. */
function connect(subscriptions: 'shared' | 'event-stream') {
  const answer = (_url: unknown, { signal }: RequestInit = {}) =>
    new Promise<Response>((resolve) => {
      const request = { accept: '', authorization: '', query: '', ids: [], signal: signal!, answer: resolve };
      asked.push(request);
      const stream = openStream(request);
      resolve(stream.response);
      stream.next(dataOf('a'));
    });
  const client = createClient({ url: 'http://server', subscriptions, fetch: answer as typeof fetch });
  const accept = async () => {
    await settle();
    if (subscriptions === 'event-stream') return;
    await lastSocket().accept();
    await lastSocket().say({ type: 'next', id: '1', payload: dataOf('a') });
  };
  const isOpen = () =>
    subscriptions === 'shared' ? lastSocket().sent.at(-1)!.type !== 'complete' : !asked[0]!.signal.aborted;
  return { client, accept, isOpen };
}

test.each(['shared', 'event-stream'] as const)(
  'a reader that leaves while it waits for a state ends the subscription at once (%s)',
  async (subscriptions) => {
    const { client, accept, isOpen } = connect(subscriptions);
    const states = client.watch('a');
    const first = states.next();
    await accept();
    expect((await first).value).toMatchObject({ status: 'QUEUED' });
    const second = states.next();
    await settle();
    expect(isOpen()).toBe(true);
    const left = states.return();
    await settle();
    expect(isOpen()).toBe(false);
    const end = { done: true, value: undefined };
    expect(await Promise.all([second, left, states.next()])).toEqual([end, end, end]);
  },
);

test('an error that a reader throws into it comes back, and ends the subscription', async () => {
  const { client, accept, isOpen } = connect('shared');
  const states = client.watch('a');
  const first = states.next();
  await accept();
  await first;
  const second = states.next();
  await settle();
  const thrown = states.throw(new Error('left'));
  await expect(thrown).rejects.toThrow('left');
  expect((await second).done).toBe(true);
  expect(isOpen()).toBe(false);
});
