import type { PredictionState } from '@inferql/queue/contract';
import { expect, test } from 'vitest';
import { createSettledNotifier } from './host-hooks.ts';

const stateOf = (id: string, finishedAtMs?: number) => ({ id, finishedAtMs }) as PredictionState;

function startNotifier() {
  const settled: string[] = [];
  const notifier = createSettledNotifier([({ id }) => settled.push(id)], (error) => expect.unreachable(String(error)));
  return { settled, notifier };
}

test('the end of a prediction that was expected is reported once', () => {
  const { settled, notifier } = startNotifier();
  for (const id of ['a', 'b']) notifier.expect(id);
  notifier.forget('b');
  for (const state of [stateOf('a'), stateOf('a', 2), stateOf('a', 2), stateOf('b', 2), stateOf('c', 2)])
    notifier.onState(state);
  expect(settled).toEqual(['a']);
  expect(notifier.isInterested()).toBe(false);
});

test('a listener that throws does not keep the others from the end', async () => {
  const seen: string[] = [];
  const failures: unknown[] = [];
  const mistake = new Error('a mistake of the host application');
  const notifier = createSettledNotifier(
    [() => Promise.reject(mistake), ({ id }: PredictionState) => seen.push(id)],
    (error) => failures.push(error),
  );
  notifier.expect('a');
  notifier.onState(stateOf('a', 1));
  await expect.poll(() => seen).toEqual(['a']);
  expect(failures).toEqual([mistake]);
});

test('predictions whose end never comes are bounded: the oldest are forgotten', () => {
  const { settled, notifier } = startNotifier();
  for (let i = 0; i < 100_050; i++) notifier.expect(String(i));
  for (let i = 0; i < 100_050; i++) notifier.onState(stateOf(String(i), 1));
  expect(settled).toHaveLength(100_000);
  expect([settled[0], settled.at(-1)]).toEqual(['50', '100049']);
  expect(notifier.isInterested()).toBe(false);
});
