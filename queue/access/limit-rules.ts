/** Limits as people write them, such as `500ms/s:5000,100000images/month`. */
import type { LimitRules, LimitUnit } from './rate-limiter.ts';

const ITEM = /^(\d{1,12}(?:\.\d{1,6})?)(ms|images|bytes)\/(s|min|h|day|month)(?::(\d{1,12}))?$/;
const UNITS: Record<string, LimitUnit> = { ms: 'machineMs', images: 'requests', bytes: 'bytes' };
const SECONDS: Record<string, number> = { s: 1, min: 60, h: 3_600 };

export const LIMITS_EXPECTED =
  'limits such as 500ms/s:5000 (machine time, rate and burst), 20images/s, 100000images/month, separated by commas';

export const NO_LIMITS: LimitRules = { limits: [], quotas: [] };

/** Whether there is any limit. */
export function hasLimits({ limits, quotas }: LimitRules): boolean {
  return limits.length + quotas.length > 0;
}

/**
 * `<amount><unit>/<period>[:<burst>]`, separated by commas. Units are `ms` (of predicted machine time), `images` and `bytes`. Per `s`,
 * `min` and `h` it is a rate, whose burst is one period's amount unless it is given; per `day` and `month` (UTC) it is a quota.
 * @param owner who shares what the rules bound, e.g. `tenant` or `key:<id>`
 * @returns undefined if the text is not of that form, or limits the rate of a unit, or its quota of a period, twice
 */
export function parseLimits(text: string, owner: string): LimitRules | undefined {
  const rules: LimitRules = { limits: [], quotas: [] };
  const seen = new Set<string>();
  for (const item of text.split(',').map((part) => part.trim())) {
    if (item === '') continue;
    const [, amountText, unitText, period, burstText] = ITEM.exec(item) ?? [];
    const [amount, unit, seconds] = [Number(amountText), UNITS[unitText!], SECONDS[period!]];
    if (!unit || !(amount > 0) || seen.has(`${unit} ${seconds ? 'rate' : period}`)) return undefined;
    seen.add(`${unit} ${seconds ? 'rate' : period}`);
    if (seconds) {
      const burst = burstText === undefined ? Math.max(1, amount) : Number(burstText);
      if (burst <= 0) return undefined;
      rules.limits.push({ owner, unit, ratePerSecond: amount / seconds, burst });
    } else {
      if (burstText !== undefined) return undefined;
      rules.quotas.push({ owner, unit, limit: amount, period: period as 'day' | 'month' });
    }
  }
  return rules;
}
