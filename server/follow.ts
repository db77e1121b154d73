import { isTerminal, type PredictionState } from '../queue/contract.ts';
import { InferqlError } from '../queue/errors.ts';
import type { PredictionView } from './predict.ts';
import type { Replies } from './replies.ts';

/** A wait for one prediction's end, registered before the prediction exists. */
export interface EndWaiter {
  /** Resolves with the last state; with the newest one known when the limit is reached first. Never rejects. */
  wait(limitMs: number, signal: AbortSignal | undefined): Promise<PredictionState>;
  /** The server shuts down: the wait may last this long still. */
  close(): void;
}

/**
 * @param drainMs how much longer a wait lasts when the server shuts down
 */
export function openEndWaiter(replies: Replies, id: string, drainMs: number): EndWaiter {
  let latest: PredictionState | undefined;
  let finish: (() => void) | undefined;
  let drainTimer: NodeJS.Timeout | undefined;
  const unfollow = replies.follow(id, {
    wantsPositions: false,
    onState(state) {
      latest = state;
      if (isTerminal(state.status)) finish?.();
    },
    onLost: () => finish?.(),
    onDrain() {
      drainTimer = setTimeout(() => finish?.(), drainMs);
    },
  });
  const close = () => {
    clearTimeout(drainTimer);
    unfollow();
  };
  return {
    close,
    async wait(limitMs, signal) {
      if (!latest || (!isTerminal(latest.status) && !signal?.aborted)) {
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
      if (!latest) throw new InferqlError('UNAVAILABLE', { retryAfterMs: 1_000 });
      return latest;
    },
  };
}

/**
 * A prediction's states from now on, the newest one always; a slow reader is spared those in between. Ends after the terminal one.
 * To be primed with the present state through `replies.offer`.
 */
export function openStateStream(
  replies: Replies,
  id: string,
  { wantsPositions, signal }: { wantsPositions: boolean; signal: AbortSignal | undefined },
): AsyncIterableIterator<PredictionView> & { prime(view: PredictionView): void } {
  let pending: PredictionView | undefined;
  let revision = -1;
  let ended = false;
  let failure: InferqlError | undefined;
  let wake: (() => void) | undefined;

  const end = (error?: InferqlError) => {
    if (ended) return;
    ended = true;
    failure = error;
    unfollow();
    signal?.removeEventListener('abort', abort);
    wake?.();
  };
  const take = (state: PredictionState, position: number | undefined) => {
    if (ended) return;
    revision = state.revision;
    pending = { state, position };
    if (isTerminal(state.status)) end();
    wake?.();
  };
  const abort = () => {
    pending = undefined;
    end();
  };
  const unfollow = replies.follow(id, {
    wantsPositions,
    onState: take,
    onLost: () => end(new InferqlError('NOT_FOUND')),
    onDrain: () =>
      end(
        new InferqlError('UNAVAILABLE', {
          retryAfterMs: 1_000,
          message: 'This server is shutting down. Subscribe again.',
        }),
      ),
  });
  if (signal?.aborted) abort();
  else signal?.addEventListener('abort', abort);

  return {
    prime(view) {
      replies.offer(view.state, view.position);
      // Others follow it already, and it is nothing new to them.
      if (revision < 0) take(replies.latest(id) ?? view.state, view.position);
    },
    async next() {
      for (;;) {
        if (pending) {
          const value = pending;
          pending = undefined;
          return { value, done: false };
        }
        if (failure) {
          const error = failure;
          failure = undefined;
          throw error;
        }
        if (ended) return { value: undefined, done: true };
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
    },
    async return() {
      abort();
      return { value: undefined, done: true };
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
