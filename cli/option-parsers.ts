/** Parsers of the values of options and arguments, for commander: each refuses with what it expected. */

import { TenantName, Weight } from '@inferql/queue/contract';
import { LIMITS_EXPECTED, readLimitList } from '@inferql/settings/limit-list';
import { InvalidArgumentError } from 'commander';
import * as z from 'zod';

const DAY_MS = 86_400_000;
const UNITS = { s: 1_000, m: 60_000, h: 3_600_000, d: DAY_MS } as const;
const LONGEST_MS = 3_650 * DAY_MS;

/** @throws InvalidArgumentError that says what was expected */
export function matching<T extends z.ZodType>(schema: T, expected: string): (text: string) => z.output<T> {
  return (text) => {
    const parsed = schema.safeParse(text);
    if (!parsed.success) throw new InvalidArgumentError(`Expected ${expected}.`);
    return parsed.data;
  };
}

export const tenantName = matching(TenantName, 'a name of letters, digits and ._@:|/+=-, at most 128');

export const weight = matching(z.string().min(1).pipe(z.coerce.number()).pipe(Weight), 'a number from 0.01 to 100');

export function limitList(text: string): string {
  if (!readLimitList(text)) throw new InvalidArgumentError(`Expected ${LIMITS_EXPECTED}.`);
  return text;
}

/** Items separated by commas, each once. */
export function listOf<T extends z.ZodType>(schema: T, expected: string): (text: string) => z.output<T>[] {
  const parse = matching(schema, expected);
  return (text) => {
    const items = text.split(',').filter(Boolean);
    if (items.length === 0) throw new InvalidArgumentError(`Expected ${expected}, separated by commas.`);
    return [...new Set(items.map((item) => parse(item.trim())))];
  };
}

/** @returns milliseconds */
export function duration(text: string): number {
  const match = /^(\d{1,6})([smhd])$/.exec(text);
  const ms = match ? Number(match[1]) * UNITS[match[2] as keyof typeof UNITS] : Number.NaN;
  if (!(ms <= LONGEST_MS))
    throw new InvalidArgumentError('Expected a duration of at most ten years, such as 45s, 30m, 12h or 90d.');
  return ms;
}

/** A whole number in a range. */
export function integerBetween(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most) {
      throw new InvalidArgumentError(`Expected a whole number from ${least} to ${most}.`);
    }
    return value;
  };
}
