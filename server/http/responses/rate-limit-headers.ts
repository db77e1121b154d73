import type { LimitState } from '@inferql/queue/access/rate-limiter';

/** The headers that tell a caller about the limit it has reached, as in draft-ietf-httpapi-ratelimit-headers. */
export function rateLimitHeaders({
  owner,
  unit,
  period,
  limit,
  remaining,
  resetsAtMs,
}: LimitState): Record<string, string> {
  const name = `"${owner.replace(/:.*/, '')}-${unit}-${period}"`;
  const seconds = Math.max(0, Math.ceil((resetsAtMs - Date.now()) / 1_000));
  return {
    'ratelimit-policy': `${name};q=${Math.floor(limit)}`,
    ratelimit: `${name};r=${Math.max(0, Math.floor(remaining))};t=${seconds}`,
  };
}
