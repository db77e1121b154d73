/** How the events of subscriptions come: over the WebSocket, as event streams, or by asking again and again. */
export type Way = 'socket' | 'events' | 'polling';

/** Decides on the way from what the transports report. */
export interface Chooser {
  getWay(): Way;
  socketOpened(): void;
  socketClosed(): void;
  /** An event stream brought nothing in time, or another answer came in its place. */
  streamWithheld(): void;
  /** The server does not let this page in: no other way is tried. */
  stop(): void;
  /**
   * How long to wait before the next try to open the WebSocket, in milliseconds.
   * @param retries how often it was tried again already since it was last open
   */
  getSocketWaitMs(retries: number): number;
}

const FAILURES_BEFORE_FALLBACK = 2;
const MAX_FIRST_OPENING_MS = 5_000;
const MAX_RECONNECT_WAIT_MS = 4_000;
/** A fallback after a slow start is left soon; one behind a proxy that passes no WebSocket stays. */
const FIRST_RETURN_WAIT_MS = 4_000;
const MAX_RETURN_WAIT_MS = 60_000;

/**
 * Begins with the WebSocket. Leaves it if it never opened in two tries or five seconds, and comes back when it opens. A WebSocket that
 * has been open is waited for: the server is away then, and other ways to it are no better.
 */
export function createChooser(onChange: (way: Way) => void): Chooser {
  let way: Way = 'socket';
  /** It was open once, or there is no reason to try. */
  let isKept = false;
  let failures = 0;
  let returns = 0;

  const setWay = (next: Way) => {
    if (next === way) return;
    way = next;
    onChange(next);
  };
  const leaveSocket = () => {
    clearTimeout(patience);
    if (!isKept) setWay(way === 'socket' ? 'events' : way);
  };
  const patience = setTimeout(leaveSocket, MAX_FIRST_OPENING_MS);

  return {
    getWay: () => way,
    socketOpened() {
      clearTimeout(patience);
      isKept = true;
      returns = 0;
      setWay('socket');
    },
    socketClosed() {
      failures++;
      if (failures >= FAILURES_BEFORE_FALLBACK) leaveSocket();
    },
    streamWithheld() {
      if (way === 'events') setWay('polling');
    },
    stop() {
      clearTimeout(patience);
      isKept = true;
    },
    getSocketWaitMs(retries) {
      if (way !== 'socket') return Math.min(MAX_RETURN_WAIT_MS, FIRST_RETURN_WAIT_MS * 2 ** returns++);
      // Longer from try to try, and spread out, so that many pages do not all come back in the same moment.
      return Math.min(MAX_RECONNECT_WAIT_MS, 200 * 2 ** retries) * (0.5 + Math.random() / 2);
    },
  };
}
