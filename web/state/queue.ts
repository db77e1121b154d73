import { InferqlError, type Queue } from '@inferql/client';
import type { Api } from './api.ts';

/** A queue as it is, and as it was in the last minute. */
export interface QueueHistory {
  /** Undefined if unknown. */
  now: Queue | undefined;
  /** Oldest first, one per second. */
  past: readonly Queue[];
}

const SAMPLE_INTERVAL_MS = 1_000;
const MAX_PAST = 60;
const RETRY_MS = 2_000;

/**
 * Watches a model's queue.
 * @param model a model's name, or undefined for the default one
 * @returns a function that stops
 */
export function watchQueue(
  api: Api,
  model: string | undefined,
  onHistory: (history: QueueHistory) => void,
): () => void {
  const stop = new AbortController();
  const { signal } = stop;
  let history: QueueHistory = { now: undefined, past: [] };
  const show = (next: QueueHistory) => {
    if (signal.aborted) return;
    history = next;
    onHistory(next);
  };
  let timer: ReturnType<typeof setTimeout> | undefined;
  const watch = async () => {
    const key = api.getKey();
    // What was read last is outdated; a connection that is lost is shown otherwise.
    const onRetry = ({ code }: InferqlError) => code !== 'UNREACHABLE' && show({ ...history, now: undefined });
    try {
      for await (const queue of api.client.watchQueue(model, { signal, onRetry })) show({ ...history, now: queue });
    } catch (error) {
      if (signal.aborted) return;
      if (error instanceof InferqlError && api.isRefusal(error)) {
        api.refuse(key);
        if (key === api.getKey()) return;
      }
      show({ ...history, now: undefined });
      // A server may be up before its first worker.
      timer = setTimeout(() => void watch(), RETRY_MS);
    }
  };
  void watch();
  // Events arrive when something changes; the curves show time.
  const sampling = setInterval(() => {
    if (history.now) show({ now: history.now, past: [...history.past, history.now].slice(-MAX_PAST) });
  }, SAMPLE_INTERVAL_MS);
  return () => {
    clearInterval(sampling);
    clearTimeout(timer);
    stop.abort();
  };
}
