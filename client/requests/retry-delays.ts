/** How long the client waits before it sends a failed request again, in milliseconds. */

const FIRST_DELAY_MS = 200;
const LONGEST_DELAY_MS = 5_000;

/** The delay before a failed request is sent again. @param failures how many times it has failed */
export function requestDelayMs(failures: number): number {
  return spread(grow(FIRST_DELAY_MS, failures, LONGEST_DELAY_MS));
}

export function grow(firstMs: number, doublings: number, longestMs: number): number {
  return Math.min(longestMs, firstMs * 2 ** doublings);
}

/** Clients that lost the same server should not reconnect at the same moment. */
export function spread(delayMs: number): number {
  return delayMs * (0.5 + Math.random() / 2);
}
