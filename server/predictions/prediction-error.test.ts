import { expect, test } from 'vitest';
import { errorOf } from './prediction-error.ts';

test.each([
  ['FAILED', 'ENGINE_CRASHED', 'ENGINE_CRASHED'],
  ['FAILED', undefined, 'MODEL_FAILED'],
  ['EXPIRED', undefined, 'DEADLINE_EXCEEDED'],
  ['CANCELED', undefined, undefined],
  ['SUCCEEDED', undefined, undefined],
  ['PROCESSING', undefined, undefined],
] as const)('%s with the code %s has the error %s', (status, errorCode, code) => {
  expect(errorOf({ status, errorCode })?.code).toBe(code);
});
