import { setTimeout as delay } from 'node:timers/promises';
import { InferqlError } from '@inferql/queue/error-codes';
import { EngineProcess, type EngineProcessOptions, type EngineRun } from './engine-process.ts';

const FIRST_BACKOFF_MS = 100;
const LAST_BACKOFF_MS = 5_000;

/** A model in a separate engine process, which is restarted whenever it ends. */
export interface SupervisedEngine {
  /** Resolves once the model is loaded, again after a crash. @throws InferqlError UNAVAILABLE once closed. */
  ready(): Promise<void>;
  /** Since when there is no loaded model (`performance.now()`), undefined while there is one. */
  downSinceMs(): number | undefined;
  /**
   * Runs one batch; the images have height x width x channels bytes each. One run at a time.
   * @throws InferqlError ENGINE_CRASHED, ENGINE_TIMEOUT, MODEL_FAILED (the engine threw), UNAVAILABLE (closed).
   */
  run(images: readonly Uint8Array[], wantHeatmaps: boolean): Promise<EngineRun>;
  /** Whether a run can return maps. */
  hasHeatmaps: boolean;
  /** Resident memory of the engine process after its last answer. */
  rssBytes(): number;
  /** The engine process, while there is one. */
  pid(): number | undefined;
  /** Ends the process, also while it loads the model. A run in progress fails. */
  close(): Promise<void>;
}

/**
 * Starts an engine process and loads the model. Later it is restarted automatically, with backoff.
 * @param signal ends the first loading; after that, `close` ends the engine
 * @throws EngineLoadError if the first loading fails.
 */
export async function startSupervisedEngine(
  options: EngineProcessOptions,
  signal?: AbortSignal,
): Promise<SupervisedEngine> {
  const { log } = options;
  const first = await EngineProcess.start(options, signal);
  let current: EngineProcess | undefined = first;
  let closed = false;
  let downSinceMs: number | undefined;
  let rssBytes = first.rssBytes();
  let starting: Promise<void> = Promise.resolve();
  const closing = new AbortController();
  let failuresInARow = 0;

  const watch = (engine: EngineProcess) => {
    void engine.ended.then((how) => {
      if (closed) return;
      current = undefined;
      downSinceMs = performance.now();
      failuresInARow++;
      void engine.lastLines().then((lastLines) => log.error({ ...how, lastLines }, 'engine process ended; restarting'));
      starting = startAgain();
    });
  };

  async function startAgain(): Promise<void> {
    while (!closed) {
      const backoffMs = Math.min(FIRST_BACKOFF_MS * 2 ** (failuresInARow - 1), LAST_BACKOFF_MS);
      await delay(backoffMs, undefined, { signal: closing.signal }).catch(() => {});
      if (closed) return;
      try {
        const engine = await EngineProcess.start(options, closing.signal);
        if (closed) return engine.kill();
        current = engine;
        downSinceMs = undefined;
        log.info({ pid: engine.pid }, 'engine process restarted');
        watch(engine);
        return;
      } catch (error) {
        if (closed) return;
        failuresInARow++;
        log.error({ err: error }, 'could not restart the engine process');
      }
    }
  }

  async function ready(): Promise<void> {
    while (!current && !closed) await starting;
    if (closed) throw new InferqlError('UNAVAILABLE');
  }

  watch(first);
  return {
    ready,
    downSinceMs: () => downSinceMs,
    async run(images, wantHeatmaps) {
      await ready();
      const engine = current!;
      const answer = await engine.run(images, wantHeatmaps);
      failuresInARow = 0;
      rssBytes = engine.rssBytes();
      return answer;
    },
    hasHeatmaps: first.hasHeatmaps,
    rssBytes: () => rssBytes,
    pid: () => current?.pid,
    async close() {
      closed = true;
      closing.abort();
      await current?.kill();
      current = undefined;
      await starting;
    },
  };
}
