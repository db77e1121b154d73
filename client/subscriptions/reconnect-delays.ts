/** How long the client waits before it opens a WebSocket again, in milliseconds. */
import { grow, spread } from '../requests/retry-delays.ts';

const FIRST_DELAY_MS = 200;
const LONGEST_DELAY_MS = 4_000;
/** A fallback after a slow start is short; one behind a proxy that blocks WebSockets stays. */
const FIRST_RETURN_DELAY_MS = 4_000;
const LONGEST_RETURN_DELAY_MS = 60_000;

/** The delay before a lost WebSocket is reopened. @param retries how many times that was tried since it was last open */
export function reconnectDelayMs(retries: number): number {
  return spread(grow(FIRST_DELAY_MS, retries, LONGEST_DELAY_MS));
}

/** The delay before a WebSocket that did not open is tried again, while a fallback carries the events. @param returns how many times it was tried */
export function returnDelayMs(returns: number): number {
  return grow(FIRST_RETURN_DELAY_MS, returns, LONGEST_RETURN_DELAY_MS);
}
