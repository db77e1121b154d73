/** How long the client waits before it sends a failed request again, in milliseconds. */

const FIRST_DELAY_MS = 200;
const LONGEST_DELAY_MS = 5_000;
/** Maximum delay for callers that retry without a limit, even if the server asks them to wait for an hour. */
const LONGEST_ASKED_DELAY_MS = 60_000;

/**
 * The delay before a failed request is sent again: what the server asks for, otherwise increasingly longer.
 * @param failures how many times it has failed before
 * @param askedMs what the server asks for, if it does
 * @param isEndless whether the caller retries without a limit
 */
export function retryDelayMs(failures: number, askedMs: number | undefined, isEndless: boolean): number {
  const delayMs = askedMs ?? requestDelayMs(failures);
  return isEndless ? Math.min(delayMs, LONGEST_ASKED_DELAY_MS) : delayMs;
}

/** The delay if the server asks for none. @param failures how many times the request has failed before */
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
