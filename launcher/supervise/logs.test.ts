import { expect, test } from 'vitest';
import { describeEntry, parseEntry } from './logs.ts';

test('an entry is one line: level, message, the cause, and the other fields', () => {
  const entry = parseEntry(
    JSON.stringify({
      level: 40,
      time: 1,
      pid: 2,
      hostname: 'h',
      name: 'server',
      role: 'worker',
      msg: 'deadline sweep failed; retrying',
      err: { message: 'no answer', stack: 'at …' },
      rssMb: 12,
      models: ['a'],
    }),
  );
  expect(describeEntry(entry!)).toBe('warn: deadline sweep failed; retrying (no answer) rssMb=12 models=["a"]');
});

test('what clients send can neither begin a line nor write to the terminal', () => {
  const hostile = 'x\n  [server] error: forged \u001b[2J\u009b2J\u202e';
  const line = describeEntry({
    level: 40,
    msg: hostile,
    err: { message: `${hostile}!` },
    file: hostile,
    files: [hostile],
  });
  expect(line).not.toMatch(/[\p{Cc}\u202e]/u);
  expect(line).toContain('x\\x0a  [server] error: forged \\x1b[2J');
});

test('an error that repeats the message is not shown twice', () => {
  expect(describeEntry({ level: 50, msg: 'gone', err: { message: 'gone' } })).toBe('error: gone');
});

test.each(['', 'Segmentation fault', '{', '{"msg":"no level"}', '[1]', 'null'])("'%s' is not an entry", (line) => {
  expect(parseEntry(line)).toBeUndefined();
});
