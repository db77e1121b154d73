/** How long the client waits before it tries again: after a failed request, and before it opens a WebSocket again. In milliseconds. */

const FIRST_DELAY_MS = 200;
const LONGEST_REQUEST_DELAY_MS = 5_000;
const LONGEST_RECONNECT_DELAY_MS = 4_000;
/** A fallback after a slow start is short; one behind a proxy that blocks WebSockets stays. */
const FIRST_RETURN_DELAY_MS = 4_000;
const LONGEST_RETURN_DELAY_MS = 60_000;

/** Before a request is sent again that failed. @param failures how often it failed before */
export function requestDelayMs(failures: number): number {
  return spread(grow(FIRST_DELAY_MS, failures, LONGEST_REQUEST_DELAY_MS));
}

/** Before a lost WebSocket is opened again. @param retries since it was last open */
export function reconnectDelayMs(retries: number): number {
  return spread(grow(FIRST_DELAY_MS, retries, LONGEST_RECONNECT_DELAY_MS));
}

/** Before a WebSocket is tried again that did not open, while something else carries the events. @param returns how often it was tried */
export function returnDelayMs(returns: number): number {
  return grow(FIRST_RETURN_DELAY_MS, returns, LONGEST_RETURN_DELAY_MS);
}

function grow(firstMs: number, doublings: number, longestMs: number): number {
  return Math.min(longestMs, firstMs * 2 ** doublings);
}

/** Clients that lost the same server should not come back at the same moment. */
function spread(delayMs: number): number {
  return delayMs * (0.5 + Math.random() / 2);
}
