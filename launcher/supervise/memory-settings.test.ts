import { expect, test } from 'vitest';
import { memorySettings } from './memory-settings.ts';

test('malloc returns what is freed, and Node keeps its young generation small', () => {
  expect(memorySettings({})).toEqual({
    MALLOC_ARENA_MAX: expect.stringMatching(/^\d+$/),
    MALLOC_TRIM_THRESHOLD_: '131072',
    NODE_OPTIONS: '--max-semi-space-size=8',
  });
});

test("the user's values win: of an option that is given twice, Node takes the last", () => {
  const env = {
    MALLOC_ARENA_MAX: '3',
    MALLOC_TRIM_THRESHOLD_: '1000000',
    NODE_OPTIONS: '--max-semi-space-size=2 --enable-source-maps',
  };
  expect(memorySettings(env)).toEqual({ ...env, NODE_OPTIONS: `--max-semi-space-size=8 ${env.NODE_OPTIONS}` });
});
