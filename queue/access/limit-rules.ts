/** Limits as people write them (settings/limit-list.ts), as rules for the rate limiter. */
import { isQuotaPeriod, type LimitedUnit, readLimitList } from '@inferql/settings/limit-list';
import type { LimitRules, LimitUnit } from './rate-limiter.ts';

const UNITS: Record<LimitedUnit, LimitUnit> = { ms: 'machineMs', images: 'requests', bytes: 'bytes' };
const SECONDS = { s: 1, min: 60, h: 3_600 };

export const NO_LIMITS: LimitRules = { limits: [], quotas: [] };

/** Whether there is any limit. */
export function hasLimits({ limits, quotas }: LimitRules): boolean {
  return limits.length + quotas.length > 0;
}

/**
 * Units are `ms` (of predicted machine time), `images` and `bytes`. The burst of a rate is one period's amount unless it is given.
 * @param owner who shares what the rules bound, e.g. `tenant` or `key:<id>`
 * @returns undefined if the text is not a list of limits
 */
export function parseLimits(text: string, owner: string): LimitRules | undefined {
  const items = readLimitList(text);
  if (!items) return undefined;
  const rules: LimitRules = { limits: [], quotas: [] };
  for (const { amount, unit: name, period, burst } of items) {
    const unit = UNITS[name];
    if (isQuotaPeriod(period)) rules.quotas.push({ owner, unit, limit: amount, period });
    else
      rules.limits.push({ owner, unit, ratePerSecond: amount / SECONDS[period], burst: burst ?? Math.max(1, amount) });
  }
  return rules;
}
