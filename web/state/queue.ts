import { FollowQueueDocument, type FollowQueueSubscription } from '../generated/graphql.ts';
import type { Transport } from '../transport/client.ts';
import { followSubscription } from '../transport/follow.ts';

export type QueueMoment = FollowQueueSubscription['queue'];

/** A queue as it is, and as it was in the last minute. */
export interface QueueView {
  /** Undefined if unknown. */
  now: QueueMoment | undefined;
  /** Oldest first, one per second. */
  past: readonly QueueMoment[];
}

const SAMPLE_INTERVAL_MS = 1_000;
const MAX_PAST = 60;
const RETRY_MS = 2_000;

/**
 * Watches a model's queue.
 * @param model a model's name, or undefined for the default one
 * @returns a function that stops
 */
export function followQueue(
  { client }: Transport,
  model: string | undefined,
  onView: (view: QueueView) => void,
): () => void {
  let view: QueueView = { now: undefined, past: [] };
  const show = (next: QueueView) => {
    view = next;
    onView(next);
  };
  let stop = () => {};
  let timer: ReturnType<typeof setTimeout> | undefined;
  const follow = () => {
    stop = followSubscription(client, FollowQueueDocument, model === undefined ? {} : { model }, {
      onData({ queue }) {
        show({ ...view, now: queue });
        return false;
      },
      onBreak: () => show({ ...view, now: undefined }),
      // A server may be up before its first worker.
      onProblem() {
        timer = setTimeout(follow, RETRY_MS);
      },
    });
  };
  follow();
  // Events arrive when something changes; the curves show time.
  const sampling = setInterval(() => {
    if (view.now) show({ now: view.now, past: [...view.past, view.now].slice(-MAX_PAST) });
  }, SAMPLE_INTERVAL_MS);
  return () => {
    clearInterval(sampling);
    clearTimeout(timer);
    stop();
  };
}
