import { reconnectDelayMs, returnDelayMs } from './reconnect-delays.ts';

/** What carries the events of subscriptions: the WebSocket, event streams, or repeated queries. */
export type EventTransport = 'websocket' | 'event-stream' | 'polling';

/** Decides on the transport from what the transports report. */
export interface EventTransportChoice {
  get(): EventTransport;
  /** The WebSocket is about to be opened, or something else waits for it. */
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

/** How long an event stream may take to bring the current state, with which a subscription begins. */
export const MAX_FIRST_EVENT_MS = 4_000;
const FAILURES_BEFORE_FALLBACK = 2;
const MAX_FIRST_OPENING_MS = 5_000;

/**
 * Starts with the WebSocket. Switches to a fallback if the WebSocket does not open in two attempts or five seconds, and switches back when it opens. If
 * it was open before, the client waits for it: the server is down, so no other transport would get through either.
 */
export function createEventTransportChoice(onChange: (transport: EventTransport) => void): EventTransportChoice {
  let transport: EventTransport = 'websocket';
  let wasOpen = false;
  let failures = 0;
  let returns = 0;
  let patience: ReturnType<typeof setTimeout> | undefined;

  const set = (next: EventTransport) => {
    if (next === transport) return;
    transport = next;
    onChange(next);
  };
  const stopPatience = () => {
    clearTimeout(patience);
    patience = undefined;
  };
  const leaveSocket = () => {
    stopPatience();
    if (!wasOpen) set(transport === 'websocket' ? 'event-stream' : transport);
  };

  return {
    get: () => transport,
    socketStarted() {
      // Later subscriptions do not prolong it.
      if (!wasOpen && transport === 'websocket') patience ??= setTimeout(leaveSocket, MAX_FIRST_OPENING_MS);
    },
    socketOpened() {
      stopPatience();
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
      if (transport === 'event-stream') set('polling');
    },
    pause: stopPatience,
    getSocketWaitMs: (retries) => (transport === 'websocket' ? reconnectDelayMs(retries) : returnDelayMs(returns++)),
  };
}
