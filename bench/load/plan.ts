/** The load generator's task. */
export interface LoadPlan {
  /** Servers, used round-robin. */
  urls: string[];
  /** `graphql`: a GraphQL multipart mutation that waits for its result; `file`: a plain form with one file. */
  request: 'graphql' | 'file';
  /** The model named in the mutation. */
  model?: string;
  /** Each answer brings the heatmap of its best label, too. */
  heatmap?: boolean;
  images: string[];
  /**
   * `clients`: each sends its next request when its last is answered. `ratePerSecond`: requests are due at fixed times whatever
   * the answers do, and their latency counts from then (so that a slow server cannot hide its own delays).
   */
  load: { clients: number } | { ratePerSecond: number };
  warmupMs: number;
  durationMs: number;
}

export interface LoadResult {
  /** Correct answers in the measured time, and per second. */
  answered: number;
  answeredPerSecond: number;
  /** Latencies of correct answers, in milliseconds. */
  latenciesMs: number[];
  /** Other answers by kind (`QUEUE_FULL`, `HTTP 500`, `ECONNRESET`), with their latencies in milliseconds. */
  refusals: Record<string, number[]>;
  /** CPU of the load generator during the measurement. */
  cpuMs: number;
  measuredMs: number;
}
