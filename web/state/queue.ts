import { FollowQueueDocument, type FollowQueueSubscription } from '../generated/graphql.ts';
import type { Transport } from '../transport/client.ts';
import { followSubscription } from '../transport/follow.ts';

export type QueueMoment = FollowQueueSubscription['queue'];

/** A queue as it is, and as it was in the last minute. */
export interface QueueView {
  now: QueueMoment | undefined;
  /** Oldest first; one entry an event. */
  past: readonly QueueMoment[];
}

const MAX_PAST = 60;

/**
 * Follows a model's queue.
 * @param model a model's name, or undefined for the default one
 * @returns the way to stop
 */
export function followQueue(
  { client }: Transport,
  model: string | undefined,
  onView: (view: QueueView) => void,
): () => void {
  let past: readonly QueueMoment[] = [];
  return followSubscription(client, FollowQueueDocument, model === undefined ? {} : { model }, ({ queue }) => {
    past = [...past, queue].slice(-MAX_PAST);
    onView({ now: queue, past });
    return false;
  });
}
