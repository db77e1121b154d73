/** Waits for one prediction: for its end, or for each of its states. */
import { isTerminal, type PredictionState } from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/error-codes';
import { LatestValueStream, shuttingDown } from './latest-value-stream.ts';
import type { PredictionListener } from './prediction-listener.ts';
import type { PredictionTracker } from './prediction-tracker.ts';
import type { PredictionView } from './predictions.ts';

/** A wait for one prediction's end, registered before the prediction exists. */
export interface ResultWaiter {
  /**
   * Resolves with the terminal state, or with the newest known one if the time limit is reached first.
   * @throws InferqlError UNAVAILABLE if Redis has lost the prediction
   */
  wait(limitMs: number, signal: AbortSignal | undefined): Promise<PredictionState>;
  close(): void;
}

/**
 * @param drainMs how long waits may continue once the server shuts down, in milliseconds
 */
export function openResultWaiter(
  tracker: Pick<PredictionTracker, 'addListener' | 'removeListener' | 'latest'>,
  id: string,
  drainMs: number,
): ResultWaiter {
  let latest: PredictionState | undefined;
  let isLost = false;
  let isOver = false;
  let finish: (() => void) | undefined;
  let drainTimer: NodeJS.Timeout | undefined;
  const listener: PredictionListener = {
    wantsPositions: false,
    onState(state) {
      latest = state;
      if (isTerminal(state.status)) finish?.();
    },
    onLost() {
      isLost = true;
      finish?.();
    },
    onDrain() {
      drainTimer = setTimeout(() => {
        isOver = true;
        finish?.();
      }, drainMs);
    },
  };
  tracker.addListener(id, listener);
  const close = () => {
    clearTimeout(drainTimer);
    tracker.removeListener(id, listener);
  };
  return {
    close,
    async wait(limitMs, signal) {
      // Another listener to the same prediction may have got its state before this one was registered.
      latest ??= tracker.latest(id);
      const hasEnded = latest !== undefined && isTerminal(latest.status);
      if (!isLost && !isOver && !hasEnded && !signal?.aborted) {
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, limitMs);
          finish = () => {
            clearTimeout(timer);
            signal?.removeEventListener('abort', finish!);
            resolve();
          };
          signal?.addEventListener('abort', finish);
        });
      }
      close();
      if (!latest || isLost) throw new InferqlError('UNAVAILABLE', { retryAfterMs: 1_000 });
      return latest;
    },
  };
}

/**
 * Streams a prediction's states, and ends after the terminal one. A slow reader skips to the newest. Prime it with the current state.
 * It is also the listener, so that a subscription needs few objects.
 */
export class PredictionStream extends LatestValueStream<PredictionView> implements PredictionListener {
  readonly wantsPositions: boolean;
  readonly #tracker: PredictionTracker;
  readonly #id: string;
  readonly #drainMs: number;
  #drainTimer: NodeJS.Timeout | undefined;
  #hasState = false;

  /** @param options.drainMs how long it continues once the server shuts down, in milliseconds */
  constructor(tracker: PredictionTracker, id: string, options: { wantsPositions: boolean; drainMs: number }) {
    super(() => {
      clearTimeout(this.#drainTimer);
      tracker.removeListener(id, this);
    });
    this.wantsPositions = options.wantsPositions;
    this.#drainMs = options.drainMs;
    this.#tracker = tracker;
    this.#id = id;
    tracker.addListener(id, this);
  }

  prime(view: PredictionView): void {
    this.#tracker.offer(view.state, view.position);
    // Other listeners know this state already.
    if (!this.#hasState) this.onState(this.#tracker.latest(this.#id) ?? view.state, view.position);
  }

  onState(state: PredictionState, position: number | undefined): void {
    this.#hasState = true;
    this.push({ state, position });
    if (isTerminal(state.status)) this.end();
  }

  onLost(): void {
    this.end(new InferqlError('NOT_FOUND'));
  }

  onDrain(): void {
    if (this.#drainMs === 0) this.end(shuttingDown());
    else this.#drainTimer = setTimeout(() => this.end(shuttingDown()), this.#drainMs);
  }
}
