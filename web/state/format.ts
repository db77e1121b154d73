/** Values as people read them. */

/** A label as people read it: many label files write `Egyptian_cat`. */
export function formatLabel(name: string): string {
  return name.replaceAll('_', ' ');
}

/** A share as people read it, such as `62%`; never 100% or 0% for a value that is only close to it. */
export function formatShare(score: number): string {
  const percent = score * 100;
  if (percent >= 99.95) return '> 99.9%';
  if (percent >= 99.5) return `${percent.toFixed(1)}%`;
  if (percent < 0.1) return '< 0.1%';
  return percent < 10 ? `${percent.toFixed(1)}%` : `${Math.round(percent)}%`;
}

/** A duration as people read it. */
export function formatSeconds(durationMs: number): string {
  if (durationMs < 1_000) return `${Math.round(durationMs)} ms`;
  if (durationMs < 10_000) return `${(durationMs / 1_000).toFixed(1)} s`;
  if (durationMs < 90_000) return `${Math.round(durationMs / 1_000)} s`;
  return `${Math.round(durationMs / 60_000)} min`;
}

/** A number of bytes as people read it, in decimal units, never more than it is. */
export function formatBytes(bytes: number): string {
  const [unit, size] = bytes < 1_000_000 ? ['kB', 1_000] : ['MB', 1_000_000];
  return `${Math.floor((bytes / size) * 10) / 10} ${unit}`;
}
