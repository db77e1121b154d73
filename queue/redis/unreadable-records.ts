/** Records in Redis that this release cannot read: written by another release or program, or damaged. */

/** Called for each such record, each time it is read. `place` identifies it for an operator and contains no secrets. */
export type ReportUnreadable = (place: string, error: unknown) => void;

/** Enough for the models and workers of a large system. Further places are ignored until older ones are forgotten. */
const MAX_PLACES = 1_000;
/** A place that was not seen again for this long is readable now, or gone. */
const FORGET_AFTER_MS = 60_000;

/** Tracks unreadable places; logs each place once per reason. */
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
