/** The value below which `share` (0..1) of the values are, by nearest rank; NaN for none. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

/** The middle value, or the mean of the two middle ones; NaN for none. */
export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length / 2;
  return ((sorted[Math.ceil(middle) - 1] ?? Number.NaN) + (sorted[Math.floor(middle)] ?? Number.NaN)) / 2;
}

/** The 95% confidence interval of the median, by order statistics: no assumption about how the values are distributed. */
export function medianInterval(values: readonly number[]): [low: number, high: number] {
  const sorted = [...values].sort((a, b) => a - b);
  const n = sorted.length;
  // How many values may lie beyond either end: the largest k with P(Binomial(n, 1/2) < k) <= 2.5%.
  let k = 0;
  let probability = 0.5 ** n;
  for (let below = probability; below <= 0.025 && k < n / 2; below += probability) {
    probability *= (n - k) / (k + 1);
    k++;
  }
  const rank = Math.max(0, k - 1);
  return [sorted[rank] ?? Number.NaN, sorted[n - 1 - rank] ?? Number.NaN];
}

/** The percentiles that the tables show, in the unit of the values. */
export interface Spread {
  p50: number;
  p95: number;
  p99: number;
}

export function spreadOf(values: readonly number[]): Spread {
  return { p50: percentile(values, 0.5), p95: percentile(values, 0.95), p99: percentile(values, 0.99) };
}

/**
 * Events per second, as the slope of the least-squares line through their running count. Answers come in batches, and counting
 * them between two moments would err by a batch at either end.
 * @param timesMs when each event was
 */
export function ratePerSecond(timesMs: readonly number[]): number {
  const sorted = [...timesMs].sort((a, b) => a - b);
  const n = sorted.length;
  if (n < 3) return Number.NaN;
  const meanTime = sorted.reduce((sum, time) => sum + time, 0) / n;
  const meanCount = (n - 1) / 2;
  let covariance = 0;
  let variance = 0;
  sorted.forEach((time, count) => {
    covariance += (time - meanTime) * (count - meanCount);
    variance += (time - meanTime) ** 2;
  });
  return (1000 * covariance) / variance;
}
