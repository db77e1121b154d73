/** Limits as people write them, such as `500ms/s:5000,100000images/month`. */
import type { ValueType } from './value-types.ts';

export type LimitedUnit = 'ms' | 'images' | 'bytes';
/** Limits per `s`, `min` and `h` are rates, those per `day` and `month` (UTC) are quotas. */
export type LimitPeriod = 's' | 'min' | 'h' | 'day' | 'month';

export interface LimitItem {
  amount: number;
  unit: LimitedUnit;
  period: LimitPeriod;
  /** Of a rate, if it is given. */
  burst: number | undefined;
}

const ITEM = /^(\d{1,12}(?:\.\d{1,6})?)(ms|images|bytes)\/(s|min|h|day|month)(?::(\d{1,12}))?$/;

export const LIMITS_EXPECTED =
  'limits such as 500ms/s:5000 (machine time, rate and burst), 20images/s, 100000images/month, separated by commas';

/**
 * Reads `<amount><unit>/<period>[:<burst>]`, separated by commas.
 * @returns undefined if the text is not of that form, or limits the rate of a unit, or its quota of a period, twice
 */
export function readLimitList(text: string): LimitItem[] | undefined {
  const items: LimitItem[] = [];
  const seen = new Set<string>();
  for (const part of text.split(',').map((item) => item.trim())) {
    if (part === '') continue;
    const match = ITEM.exec(part);
    if (!match) return undefined;
    const [amount, unit, period] = [Number(match[1]), match[2] as LimitedUnit, match[3] as LimitPeriod];
    const burst = match[4] === undefined ? undefined : Number(match[4]);
    const isQuota = isQuotaPeriod(period);
    const kind = `${unit} ${isQuota ? period : 'rate'}`;
    if (amount <= 0 || burst === 0 || (isQuota && burst !== undefined) || seen.has(kind)) return undefined;
    seen.add(kind);
    items.push({ amount, unit, period, burst });
  }
  return items;
}

export function isQuotaPeriod(period: LimitPeriod): period is 'day' | 'month' {
  return period === 'day' || period === 'month';
}

/** The text of a list of limits. */
export const limitList: ValueType<string> = {
  expected: LIMITS_EXPECTED,
  parse: (text) => (readLimitList(text) ? text : undefined),
};
