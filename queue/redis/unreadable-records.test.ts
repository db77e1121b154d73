import { expect, onTestFinished, test, vi } from 'vitest';
import { createUnreadableRecords } from './unreadable-records.ts';

test('each place is logged once per reason, and listed', () => {
  const logged: string[] = [];
  const records = createUnreadableRecords((place, error) => logged.push(`${place}: ${(error as Error).message}`));
  for (let i = 0; i < 3; i++) records.report('model a', new Error('one'));
  records.report('model b', new Error('one'));
  records.report('model a', new Error('two'));
  expect(logged).toEqual(['model a: one', 'model b: one', 'model a: two']);
  expect(records.list()).toEqual(['model a', 'model b']);
});

test('places are bounded, whatever is written into Redis', () => {
  const logged: string[] = [];
  const records = createUnreadableRecords((place, error) => logged.push(`${place}: ${(error as Error).message}`));
  for (let i = 0; i < 5_000; i++) records.report(`model ${i}`, new Error('x'));
  expect(records.list().length).toBe(1_000);
  records.report('model 7', new Error('another'));
  expect(logged.slice(1_000)).toEqual(['model 7: another']);
});

test('a place that was not met for a minute is forgotten, and logged if it is met again', () => {
  const clock = vi.spyOn(performance, 'now');
  onTestFinished(() => clock.mockRestore());
  const logged: string[] = [];
  const records = createUnreadableRecords((place) => logged.push(place));
  for (const nowMs of [0, 50_000]) {
    clock.mockReturnValue(nowMs);
    records.report('model a', new Error('x'));
  }
  clock.mockReturnValue(109_000);
  expect(records.list()).toEqual(['model a']);
  clock.mockReturnValue(111_000);
  expect(records.list()).toEqual([]);
  records.report('model a', new Error('x'));
  expect(logged).toEqual(['model a', 'model a']);
});
