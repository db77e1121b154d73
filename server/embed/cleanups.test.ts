import { expect, test } from 'vitest';
import { runCleanups } from './cleanups.ts';

test('a cleanup that fails does not keep those of earlier parts from running, and its error is reported', async () => {
  const called: string[] = [];
  const cleanUp = (name: string, error?: Error) => async () => {
    called.push(name);
    if (error) throw error;
  };
  const cleanups = [cleanUp('redis'), cleanUp('worker', new Error('first')), cleanUp('server')];
  await expect(runCleanups(cleanups)).rejects.toThrow('first');
  expect(called).toEqual(['server', 'worker', 'redis']);
});
