import type { InferqlError } from '../errors.ts';
import type { Document } from '../requests/transport.ts';

/** A requested subscription. */
export interface SubscriptionRequest<Data = unknown, Variables extends object = object> {
  subscription: Document<Data, Variables>;
  /** Reads the same fields once, for when no subscription gets through. */
  query: Document<unknown, Variables>;
  variables: Variables;
}

export interface SubscribeOptions {
  signal?: AbortSignal | undefined;
  /**
   * Called when a shared connection was lost, or could not be opened: the subscription waits for the next one unless this throws. What it
   * throws ends the subscription.
   */
  onLost?: (error: InferqlError) => void;
}

/** Runs subscriptions. */
export interface Subscriber {
  /**
   * The events of one subscription.
   * @throws InferqlError; the signal's reason once it is aborted
   */
  subscribe<Data, Variables extends object>(
    request: SubscriptionRequest<Data, Variables>,
    options: SubscribeOptions,
  ): AsyncGenerator<Data, void, undefined>;
}

/** Gets the events of a subscription, then at most one of its two ends. */
export interface Sink {
  next(data: unknown): void;
  error(error: unknown): void;
  complete(): void;
}
