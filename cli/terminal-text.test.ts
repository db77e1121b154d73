import { execFileSync } from 'node:child_process';
import { PassThrough } from 'node:stream';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { formatTable } from './table.ts';
import { createScreen } from './terminal-output.ts';
import {
  formatBar,
  formatDuration,
  hidePassword,
  quoteForShell,
  safeJson,
  safeText,
  shortenPath,
} from './terminal-text.ts';

test('no text can control a terminal, and plain text is unchanged', () => {
  expect(safeText('a\u001b[31m\tb\u009b2J\u202e\u2028é😀')).toBe('a\\x1b[31m\\x09b\\x9b2J\\u202e\\u2028é😀');
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not be there
      expect(safeText(text)).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e]/);
      expect(JSON.parse(safeJson(text))).toBe(text);
    }),
  );
});

test.each(['plain/path-1.0', 'my app', "it's", '$HOME `x` "y" \\', '-n', '~', 'a;b & c', 'ünï'])(
  'a shell reads the quoted path %s as one word',
  (path) => {
    const printed = execFileSync('sh', ['-c', `printf %s ${quoteForShell(path)}`], { encoding: 'utf8' });
    expect(printed).toBe(path.startsWith('-') ? `./${path}` : path);
    if (path === 'plain/path-1.0') expect(quoteForShell(path)).toBe(path);
  },
);

test('tables, bars, paths and durations', () => {
  expect(
    formatTable(
      ['A', 'N'],
      [
        ['long', '1'],
        ['b', '22'],
      ],
      [1],
    ),
  ).toBe('A      N\nlong   1\nb     22');
  expect([0, 0.5, 1, 2].map((share) => formatBar(share, 4))).toEqual(['', '██', '████', '████']);
  expect(formatBar(0.3, 4)).toBe('█▎');
  expect(shortenPath('folder/photo.jpg', 10)).toBe('…photo.jpg');
  expect([5, 1_500, 59_400, 61_000, 3_700_000].map(formatDuration)).toEqual([
    '5 ms',
    '1.5 s',
    '59 s',
    '1 min 1 s',
    '1 h 1 min',
  ]);
});

test('the bar is below the results on a terminal, and not in a file', () => {
  const draw = (isTTY: boolean) => {
    const stream = Object.assign(new PassThrough(), { isTTY }) as unknown as NodeJS.WriteStream;
    const screen = createScreen(stream, stream);
    screen.showProgress({ done: 5, failed: 1, total: 10 });
    screen.print('a result');
    screen.clearProgress();
    return String((stream as unknown as PassThrough).read()).replaceAll('\u001b', 'ESC');
  };
  expect(draw(false)).toBe('a result\n');
  expect(draw(true)).toMatch(/^█{12}·{12} 5\/10, 1 failed, [\d.]+\/s, [^\r]+ left\rESC\[Ka result\n█.*left\rESC\[K$/u);
});

test.each([
  ['https://me:secret@host/path', 'https://host/path'],
  ['https://me:se/cret@host', 'https://host'],
  ['https://me:se@cret@host', 'https://host'],
  ['https://me:se\ncret@host', 'https://host'],
  ['redis+cluster://:secret@a:1,b:2', 'redis+cluster://a:1,b:2'],
  // What is not a URL is shown in error messages, too.
  ['me:secret@host:4000', 'host:4000'],
  ['https:/me:secret@host', 'host'],
  ['https://host/path', 'https://host/path'],
])('the password in %j is not shown', (url, shown) => {
  expect(hidePassword(url)).toBe(shown);
});
