import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { processExists } from './process-exists.ts';

test('a process exists until it has ended', async () => {
  const child = spawn(process.execPath, ['-e', 'process.stdin.resume()']);
  expect(processExists(child.pid!)).toBe(true);
  child.stdin.end();
  await once(child, 'exit');
  expect(processExists(child.pid!)).toBe(false);
});

test.each([0, -1, 1.5, Number.NaN])('%d is not the id of a process', (pid) => {
  expect(processExists(pid)).toBe(false);
});
