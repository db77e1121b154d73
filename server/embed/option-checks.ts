/** Checks of options that a host application passes: each error names the option and what was expected. */
import type { Expectation } from '@inferql/settings/option-expectations';

export type Expectations<Options> = Record<keyof Options, Expectation>;

/**
 * @param what the function that was called
 * @param path of the object in its options: empty, or `hooks.`
 * @throws TypeError that names the field that is unknown or wrong
 */
export function checkFields(
  what: string,
  path: string,
  fields: object,
  expectations: Readonly<Record<string, Expectation>>,
): void {
  for (const [name, value] of Object.entries(fields)) {
    if (!Object.hasOwn(expectations, name)) {
      throw new TypeError(`${what}: unknown option '${path}${name}'. Known: ${Object.keys(expectations).join(', ')}.`);
    }
    const [expected, isValid] = expectations[name]!;
    if (value !== undefined && !isValid(value)) {
      throw new TypeError(`${what}: option '${path}${name}' is ${describe(value)}. Expected ${expected}.`);
    }
  }
}

/** A value in a message: short, without an object's contents. */
export function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 60));
  if (Array.isArray(value)) return 'an array';
  if (typeof value === 'function') return 'a function';
  return typeof value === 'object' && value !== null ? 'an object' : String(value);
}

export const BOOLEAN: Expectation = ['true or false', isBoolean];
export const FUNCTION: Expectation = ['a function', isFunction];

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function isFunction(value: unknown): boolean {
  return typeof value === 'function';
}

export function isBoolean(value: unknown): boolean {
  return typeof value === 'boolean';
}

export function isFilledString(value: unknown): boolean {
  return typeof value === 'string' && value !== '';
}
