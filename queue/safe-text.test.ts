import { expect, test } from 'vitest';
import { safeLines, safeText } from './safe-text.ts';

const HOSTILE = 'a\u001b]0;owned\u0007\r\u009b2J\u202egnp\nb';

test('what a terminal would interpret is escaped', () => {
  expect(safeText(HOSTILE)).toBe('a\\x1b]0;owned\\x07\\x0d\\x9b2J\\u202egnp\\x0ab');
  expect(safeText('é 😀 \u4e2d')).toBe('é 😀 \u4e2d');
});

test('lines stay lines', () => {
  expect(safeLines(HOSTILE)).toBe('a\\x1b]0;owned\\x07\\x0d\\x9b2J\\u202egnp\nb');
});
