/** How the text of an environment variable becomes a value. */
import { resolve } from 'node:path';

export interface ValueType<Value> {
  /** Completes the sentence "expected …". */
  readonly expected: string;
  /** The value, or undefined if the text is not one. */
  parse(text: string): Value | undefined;
}

/** Any text that is not empty. */
export function text(expected = 'a text'): ValueType<string> {
  return { expected, parse: (value) => value };
}

/** A text that matches a pattern. */
export function pattern(expected: string, expression: RegExp): ValueType<string> {
  return { expected, parse: (value) => (expression.test(value) ? value : undefined) };
}

/** A whole number within bounds. */
export function integer({ min = 0, max = Number.MAX_SAFE_INTEGER } = {}): ValueType<number> {
  const range = max === Number.MAX_SAFE_INTEGER ? `of at least ${min}` : `from ${min} to ${max}`;
  return {
    expected: `a whole number ${range}`,
    parse(value) {
      const number = Number(value);
      return /^\d+$/.test(value) && number >= min && number <= max ? number : undefined;
    },
  };
}

/** The longest time for a timer, 23 days. Node ends timers of 2^31 ms and more at once, and some are set to a sum. */
export const MAX_TIMER_MS = 2_000_000_000;

/** Milliseconds that a timer takes. */
export function timerMs({ min = 1 } = {}): ValueType<number> {
  return integer({ min, max: MAX_TIMER_MS });
}

/** A number within bounds, fractions included. */
export function number({ min, max }: { min: number; max: number }): ValueType<number> {
  return {
    expected: `a number from ${min} to ${max}`,
    parse(value) {
      const parsed = Number(value);
      return /^\d*\.?\d+$/.test(value) && parsed >= min && parsed <= max ? parsed : undefined;
    },
  };
}

export const ON = ['on', '1', 'true', 'yes'];
export const OFF = ['off', '0', 'false', 'no'];

/** A switch. */
export const flag: ValueType<boolean> = {
  expected: 'on or off',
  parse(value) {
    const lower = value.toLowerCase();
    return ON.includes(lower) ? true : OFF.includes(lower) ? false : undefined;
  },
};

/** Items separated by commas; empty ones are left out. */
export function list(item = 'texts'): ValueType<string[]> {
  return {
    expected: `${item}, separated by commas`,
    parse: (value) => value.split(',').flatMap((part) => part.trim() || []),
  };
}

/** Some of a few words, separated by commas: at least one. */
export function choices<const Words extends readonly string[]>(words: Words): ValueType<Words[number][]> {
  return {
    expected: `some of ${words.join(', ')}, separated by commas`,
    parse(value) {
      const chosen = value.split(',').flatMap((part) => part.trim() || []);
      return chosen.length > 0 && chosen.every((part) => words.includes(part)) ? chosen : undefined;
    },
  };
}

/** One of a few words. */
export function choice<const Words extends readonly string[]>(words: Words): ValueType<Words[number]> {
  return { expected: `one of ${words.join(', ')}`, parse: (value) => words.find((word) => word === value) };
}

/** A folder or file, resolved against the folder in which the process was started. */
export const path: ValueType<string> = { expected: 'a path', parse: (value) => resolve(value) };
