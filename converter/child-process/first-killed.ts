import { writeFileSync } from 'node:fs';

/** If memory runs out, Linux ends this process first, and not one that serves or waits for it. */
export function beKilledFirst(): void {
  try {
    writeFileSync('/proc/self/oom_score_adj', '1000');
  } catch {
    // Other systems choose for themselves.
  }
}
