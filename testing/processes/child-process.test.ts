import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setImmediate as nextTick } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { whenOutputRead } from './child-process.ts';

test('the output of a process is read to its end, and not waited for once it is closed', async () => {
  const child = spawn(process.execPath, ['-e', 'console.log("x".repeat(100_000))']);
  let length = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    length += chunk.length;
  });
  child.stderr.resume();
  await once(child, 'exit');
  await whenOutputRead(child);
  expect(length).toBe(100_001);
  expect(await Promise.race([whenOutputRead(child).then(() => 'read'), nextTick('waits')])).toBe('read');
});
