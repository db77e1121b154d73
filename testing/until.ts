import { setTimeout as wait } from 'node:timers/promises';

/** Looks without a pause would take the CPU that the change which they wait for needs. */
const LOOK_EVERY_MS = 5;

/**
 * Looks until what is seen fits; the test's time limit ends it. For a change in another process that no event reports.
 * @returns what fitted
 */
export async function until<Seen>(look: () => Seen | Promise<Seen>, fits: (seen: Seen) => boolean): Promise<Seen> {
  for (;;) {
    const seen = await look();
    if (fits(seen)) return seen;
    await wait(LOOK_EVERY_MS);
  }
}
