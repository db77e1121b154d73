/** What carries the events of subscriptions: the WebSocket, event streams, or repeated queries. */
export type Carrier = 'websocket' | 'event-stream' | 'polling';

/** Decides on the carrier from what the carriers report. */
export interface CarrierChoice {
  get(): Carrier;
  /** The WebSocket is about to be opened. */
  socketStarted(): void;
  socketOpened(): void;
  socketClosed(): void;
  /** This environment has no WebSocket. */
  socketMissing(): void;
  /** An event stream brought nothing in time, or another answer came in its place. */
  streamWithheld(): void;
  /** Nothing is subscribed: time does not count. */
  pause(): void;
  /**
   * How long to wait before the next attempt to open the WebSocket, in milliseconds.
   * @param retries the number of retries since it was last open
   */
  getSocketWaitMs(retries: number): number;
}

const FAILURES_BEFORE_FALLBACK = 2;
const MAX_FIRST_OPENING_MS = 5_000;
const MAX_RECONNECT_WAIT_MS = 4_000;
/** A fallback after a slow start is short; one behind a proxy that blocks WebSockets stays. */
const FIRST_RETURN_WAIT_MS = 4_000;
const MAX_RETURN_WAIT_MS = 60_000;

/**
 * Begins with the WebSocket. Leaves it if it did not open in two attempts or five seconds, and returns when it opens. A WebSocket that
 * has been open is waited for: the server is away then, and no other carrier gets through either.
 */
export function createCarrierChoice(onChange: (carrier: Carrier) => void): CarrierChoice {
  let carrier: Carrier = 'websocket';
  let wasOpen = false;
  let failures = 0;
  let returns = 0;
  let patience: ReturnType<typeof setTimeout> | undefined;

  const set = (next: Carrier) => {
    if (next === carrier) return;
    carrier = next;
    onChange(next);
  };
  const leaveSocket = () => {
    clearTimeout(patience);
    if (!wasOpen) set(carrier === 'websocket' ? 'event-stream' : carrier);
  };

  return {
    get: () => carrier,
    socketStarted() {
      clearTimeout(patience);
      if (!wasOpen && carrier === 'websocket') patience = setTimeout(leaveSocket, MAX_FIRST_OPENING_MS);
    },
    socketOpened() {
      clearTimeout(patience);
      wasOpen = true;
      returns = 0;
      set('websocket');
    },
    socketClosed() {
      failures++;
      if (failures >= FAILURES_BEFORE_FALLBACK) leaveSocket();
    },
    socketMissing: leaveSocket,
    streamWithheld() {
      if (carrier === 'event-stream') set('polling');
    },
    pause() {
      clearTimeout(patience);
    },
    getSocketWaitMs(retries) {
      if (carrier !== 'websocket') return Math.min(MAX_RETURN_WAIT_MS, FIRST_RETURN_WAIT_MS * 2 ** returns++);
      // Longer with each attempt, with jitter, so that many pages do not reconnect at the same moment.
      return Math.min(MAX_RECONNECT_WAIT_MS, 200 * 2 ** retries) * (0.5 + Math.random() / 2);
    },
  };
}
