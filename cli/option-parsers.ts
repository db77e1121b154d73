/** Values of options and arguments, checked as they are read. */
import { TenantName, Weight } from '@inferql/queue/contract';
import { LIMITS_EXPECTED, parseLimits } from '@inferql/queue/limit-rules';
import { InvalidArgumentError } from 'commander';
import { z } from 'zod';

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
  if (!parseLimits(text, 'key')) throw new InvalidArgumentError(`Expected ${LIMITS_EXPECTED}.`);
  return text;
}
