/** Measures the rate and latency of models that are being watched. */
import type { PredictionState } from '@inferql/queue/contract';

/** Rates and latencies cover this span. */
const WINDOW_MS = 10_000;
/** A model that has not been queried for this long, in milliseconds, is no longer measured. */
const INTEREST_MS = 30_000;
const MAX_SAMPLES = 20_000;

interface Metered {
  sinceMs: number;
  wantedAtMs: number;
  /** Successes of the window, the oldest first. */
  samples: { atMs: number; latencyMs: number }[];
}

export type ThroughputMeter = ReturnType<typeof createThroughputMeter>;

/** Measures only models that are being watched, since parsing all events would waste CPU. */
export function createThroughputMeter() {
  const models = new Map<string, Metered>();

  function trim(metered: Metered, nowMs: number): void {
    const first = metered.samples.findIndex(({ atMs }) => atMs > nowMs - WINDOW_MS);
    metered.samples.splice(0, first === -1 ? metered.samples.length : first);
  }

  return {
    onEvent(model: string, parse: () => PredictionState): void {
      const metered = models.get(model);
      if (!metered) return;
      const nowMs = performance.now();
      if (nowMs - metered.wantedAtMs > INTEREST_MS) {
        models.delete(model);
        return;
      }
      const state = parse();
      if (state.status !== 'SUCCEEDED' || state.finishedAtMs === undefined) return;
      if (metered.samples.length >= MAX_SAMPLES) trim(metered, nowMs);
      metered.samples.push({ atMs: nowMs, latencyMs: state.finishedAtMs - state.createdAtMs });
    },

    /** Successes per second, and the median milliseconds from acceptance to success, of the last seconds. Starts measuring the model. */
    read(model: string): { ratePerSecond: number | undefined; latencyMs: number | undefined } {
      const nowMs = performance.now();
      let metered = models.get(model);
      if (!metered || nowMs - metered.wantedAtMs > INTEREST_MS) {
        metered = { sinceMs: nowMs, wantedAtMs: nowMs, samples: [] };
        models.set(model, metered);
      }
      metered.wantedAtMs = nowMs;
      trim(metered, nowMs);
      const spanMs = Math.min(WINDOW_MS, nowMs - metered.sinceMs);
      const latencies = metered.samples.map(({ latencyMs }) => latencyMs).sort((a, b) => a - b);
      return {
        ratePerSecond: spanMs < 1_000 ? undefined : Math.round((latencies.length / spanMs) * 1e5) / 100,
        latencyMs: latencies[latencies.length >> 1],
      };
    },
  };
}
