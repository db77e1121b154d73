import { expectedClass, makeMishap, makePicture } from '@inferql/testing/data/test-images';
import { expect, test } from 'vitest';
import { busyModel, runScenario } from './scenario.ts';

/** Pictures that cause a failure, among the others: one in forty, so that each spoils a separate batch. */
const MISHAPS_FROM = 100;
const MISHAPS = 3;
const isMishap = (n: number) => n >= MISHAPS_FROM && n < MISHAPS_FROM + 40 * MISHAPS && (n - MISHAPS_FROM) % 40 === 0;

test.each([
  ['throws', 'throwOn', 'MODEL_FAILED'],
  ['hangs', 'hangOn', 'ENGINE_TIMEOUT'],
  ['exits', 'exitOn', 'ENGINE_CRASHED'],
] as const)('an engine that %s fails the image that caused it, and no other', async (what, field, code) => {
  const firstByte = 210;
  const failed = new Set<string>();
  const { verdict } = await runScenario({
    fault: `an engine that ${what}`,
    system: {
      models: [busyModel({ [field]: [firstByte] }, { maxAttempts: 2 })],
      env: { INFERQL_ENGINE_TIME_LIMIT_MS: '2000' },
    },
    load: {
      mixed: false,
      picture: (n) => (isMishap(n) ? makeMishap(firstByte, n) : makePicture(n)),
      expected: (n) => (isMishap(n) ? undefined : expectedClass(n)),
      onEnd: ({ id, errorCode }) => errorCode === code && failed.add(id),
    },
    // The pictures that cause failures are already on their way.
    act: async ({ load }) => load.until(() => failed.size > 0),
  });
  expect(verdict.ended).toEqual({ SUCCEEDED: verdict.answered - MISHAPS, FAILED: MISHAPS });
  expect(failed.size).toBe(MISHAPS);
});
