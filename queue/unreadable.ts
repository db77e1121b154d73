/** Records in Redis that this release cannot read: of a newer or older release, damaged, or another program's. */

/** Called for each such record, each time it is met. `place` names it for an operator, and holds nothing secret. */
export type ReportUnreadable = (place: string, error: unknown) => void;

/** As many places are remembered as a fleet of models and workers has; more are only counted once they are met again. */
const MAX_PLACES = 1_000;
/** A place that was not met again for so long is readable, or gone. */
const FORGET_AFTER_MS = 60_000;

/** What cannot be read, each place logged once for each new reason. */
export function createUnreadableRecords(log: (place: string, error: unknown) => void) {
  const places = new Map<string, { reason: string; metAtMs: number }>();

  function forgetOld(): void {
    const oldestMs = performance.now() - FORGET_AFTER_MS;
    for (const [place, { metAtMs }] of places) if (metAtMs < oldestMs) places.delete(place);
  }

  return {
    report(place: string, error: unknown): void {
      const reason = String(error);
      const known = places.get(place);
      if (known?.reason !== reason) {
        forgetOld();
        if (!known && places.size >= MAX_PLACES) return;
        log(place, error);
      }
      places.set(place, { reason, metAtMs: performance.now() });
    },

    /** The places that were unreadable within the last minute. */
    list(): string[] {
      forgetOld();
      return [...places.keys()];
    },
  };
}

export type UnreadableRecords = ReturnType<typeof createUnreadableRecords>;
