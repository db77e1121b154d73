import { randomBytes } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { joinSmallChunks } from './join-small-chunks.ts';

function collect() {
  const passed: Buffer[] = [];
  return { passed, joiner: joinSmallChunks((chunk) => passed.push(chunk)) };
}

test('small chunks of one step are one, in order with large ones', async () => {
  const { passed, joiner } = collect();
  const whole = randomBytes(60_000);
  for (let at = 0; at < 40_000; at++) joiner.write(whole.subarray(at, at + 1));
  joiner.write(whole.subarray(40_000, 42_000));
  joiner.write(whole.subarray(42_000, 50_000));
  for (let at = 50_000; at < 60_000; at += 100) joiner.write(whole.subarray(at, at + 100));
  expect(passed.length).toBeLessThan(9);
  await nextTurn();
  expect(Buffer.concat(passed).equals(whole)).toBe(true);
});

test('what is held is passed on at the end, once', async () => {
  const { passed, joiner } = collect();
  joiner.write(Buffer.from('a'));
  joiner.flush();
  expect(String(Buffer.concat(passed))).toBe('a');
  await nextTurn();
  expect(String(Buffer.concat(passed))).toBe('a');
});
