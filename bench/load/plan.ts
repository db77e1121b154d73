/** What the load generator is asked to do. */
export interface LoadPlan {
  /** Servers that take turns. */
  urls: string[];
  /** `graphql`: a GraphQL multipart mutation that waits for its result; `file`: a plain form with one file. */
  request: 'graphql' | 'file';
  /** The model named in the mutation. */
  model?: string;
  /** Each answer brings the heatmap of its best label, too. */
  heatmap?: boolean;
  photographs: string[];
  /**
   * `clients`: each sends its next request when its last is answered. `ratePerSecond`: requests are due at fixed times whatever
   * the answers do, and their latency counts from then (so that a slow server cannot hide its own delays).
   */
  load: { clients: number } | { ratePerSecond: number };
  warmupMs: number;
  durationMs: number;
}

export interface LoadResult {
  /** Right answers in the time measured, and what that is a second. */
  answered: number;
  answeredPerSecond: number;
  /** Right answers, in milliseconds. */
  latenciesMs: number[];
  /** Answers that were not right, by what they were (`QUEUE_FULL`, `HTTP 500`, `ECONNRESET`); with their latencies in milliseconds. */
  refusals: Record<string, number[]>;
  /** CPU of the load generator itself while it measured. */
  cpuMs: number;
  measuredMs: number;
}
