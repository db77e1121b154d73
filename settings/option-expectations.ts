/** What a host application's options may be, for the checks and messages of the embedded server and worker. */
import { MAX_TIMER_MS } from './value-types.ts';

export type Expectation = readonly [expected: string, isValid: (value: unknown) => boolean];

export const COUNT: Expectation = [
  'a whole number over 0',
  (value) => Number.isSafeInteger(value) && Number(value) > 0,
];
export const TIMER_MS: Expectation = [
  `a whole number from 1 to ${MAX_TIMER_MS}`,
  (value) => COUNT[1](value) && Number(value) <= MAX_TIMER_MS,
];
