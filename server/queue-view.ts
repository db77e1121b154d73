import type { QueueState } from '../queue/contract.ts';

/** A queue with what this server measured beside it. */
export interface QueueView extends QueueState {
  /** Successes per second over the last seconds. */
  measuredPerSecond: number | undefined;
  /** Median milliseconds from acceptance to success of the last predictions that this server saw end. */
  latencyMs: number | undefined;
}
