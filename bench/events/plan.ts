export type SubscriberRequest =
  /** Opens one subscription per id and answers once each has sent its first state. `sse`: one connection each; `ws`: many per WebSocket. */
  | { type: 'open'; url: string; ids: string[]; transport: 'sse' | 'ws'; perSocket: number }
  /** Answers once the ends of this many predictions have arrived since the subscriptions were opened. */
  | { type: 'await'; count: number }
  | { type: 'close' };

/** When each prediction's end reached the socket, in milliseconds of the machine's monotonic clock. */
export type SubscriberResponse = { arrivedAtMs: Record<string, number> };

/** Milliseconds of a clock that all processes of a machine share. */
export function machineClockMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
