import { Writable } from 'node:stream';
import { expect, test } from 'vitest';
import { createScreen } from './terminal-output.ts';

/** A terminal that keeps what is written to it. */
function openTerminal(columns: number) {
  const written: string[] = [];
  const stream = new Writable({
    write(chunk, _encoding, done) {
      written.push(String(chunk));
      done();
    },
  });
  return { written, stream: Object.assign(stream, { isTTY: true, columns }) as unknown as NodeJS.WriteStream };
}

test('the bar fits into one line of a narrow terminal, and is drawn again after a line of results', () => {
  const { written, stream } = openTerminal(40);
  const screen = createScreen(stream, stream);
  screen.showProgress({ done: 3, failed: 1, total: 10_000 });
  const [bar] = written;
  expect([...bar!].length).toBe(39);
  screen.print('cat.jpg  90.0%  cat');
  screen.clearProgress();
  expect(written.slice(1)).toEqual(['\r\u001b[K', 'cat.jpg  90.0%  cat\n', bar, '\r\u001b[K']);
});
