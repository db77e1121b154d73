import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { expect, test, vi } from 'vitest';
import { describeEntry, parseEntry, showLogs } from './logs.ts';

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

async function show(...chunks: string[]): Promise<string[]> {
  const write = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
  const stream = new PassThrough();
  const ended = once(stream, 'end');
  showLogs(stream, 'server', 'json');
  for (const chunk of chunks) stream.write(chunk);
  stream.end();
  await ended;
  const shown = write.mock.calls.map(([text]) => String(text));
  write.mockRestore();
  return shown;
}

test('long lines are shown whole, and the end of one that is too long is left out', async () => {
  const long = JSON.stringify({ level: 30, msg: 'x'.repeat(500_000) });
  const [first, second] = [long.slice(0, 300_000), `${long.slice(300_000)}\n`];
  expect(await show(first, second, 'next\n')).toEqual([`${long}\n`, 'next\n']);
  const part = 'y'.repeat(700_000);
  expect(await show(part, part, part, 'the end\nnext\n', 'last')).toEqual([
    `${`${part}${part}`.slice(0, 1024 * 1024)}…\n`,
    'next\n',
    'last\n',
  ]);
});
