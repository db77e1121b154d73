import { writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { describeFailure, SetupError } from './terminal.ts';

function findError(work: () => void): unknown {
  try {
    work();
  } catch (error) {
    return error;
  }
  return undefined;
}

test.runIf(process.platform === 'linux')('a full disk is named, with what to do, and without a stack', () => {
  const text = describeFailure(findError(() => writeFileSync('/dev/full', 'x')));
  expect(text).toBe(
    'ENOSPC: no space left on device, write\nThe disk is full. Free some space, then run the command again.',
  );
});

test('what is explained has no stack, and a fault of ours has one', () => {
  expect(describeFailure(new SetupError('Set PORT.'))).toBe('Set PORT.');
  expect(describeFailure(findError(() => writeFileSync('/dev/null/x', '')))).toMatch(/^ENOTDIR.*'$/);
  expect(describeFailure(new Error('ours'))).toMatch(/^Error: ours\n {4}at /);
});

test.each([
  [{ code: 'ENOSPC', syscall: 'watch', path: '/clone/server' }, 'fs.inotify.max_user_watches'],
  [{ code: 'EMFILE', syscall: 'watch', path: '/clone/server' }, 'fs.inotify.max_user_watches'],
  [{ code: 'EACCES', syscall: 'open', path: '/clone/.inferql' }, 'after sudo'],
  [{ code: 'EACCES', syscall: 'listen', port: 80 }, undefined],
])('%j has the advice that helps', (fields, advice) => {
  const text = describeFailure(Object.assign(new Error('refused'), fields));
  expect(text).toMatch(advice === undefined ? /^refused$/ : advice);
});
