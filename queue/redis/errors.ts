/** Which Redis errors mean that it is unavailable, and what a caller gets in that case. */
import { InferqlError } from '../error-codes.ts';

/** Replies that mean that Redis cannot take any command now. */
const REFUSALS =
  /^(OOM|READONLY|MOVED|LOADING|MASTERDOWN|CLUSTERDOWN|TRYAGAIN|BUSY|NOREPLICAS|MISCONF|UNBLOCKED|ERR max number of clients|EXECABORT)/;
const BROKEN_CONNECTION =
  /Connection is closed|enableOfflineQueue|max retries per request|Command timed out|ECONN|EPIPE|ETIMEDOUT|ENOENT|EHOSTUNREACH|None of startup nodes|Cluster isn't ready|Too many Cluster redirections|ClusterAllFailedError|Stream isn't writeable/;

/** The user of this connection may not do it. Redis works, but not for callers until an operator changes its rights. */
const MISSING_RIGHTS = /^-?(NOPERM|NOAUTH|WRONGPASS)|ACL failure in script|user executing the script can't/;

/** True if Redis is gone, hangs, or refuses for now: a reason to wait, not a bug. */
export function isRedisUnavailable(error: unknown): boolean {
  if (!(error instanceof Error)) return false;
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  // A script's refusal has Redis' message after a prefix.
  const message = error.message.replace(/^(ERR Error running script[^:]*: )?-?/, '');
  return (
    REFUSALS.test(message) ||
    BROKEN_CONNECTION.test(`${error.message} ${error.name} ${code}`) ||
    /OOM command not allowed/.test(message)
  );
}

/** True if Redis answered that the user of this connection must not log in, or must not do this. */
export function isAccessRefused(error: unknown): boolean {
  return error instanceof Error && MISSING_RIGHTS.test(error.message);
}

/** Runs a command for a caller. Rejects with UNAVAILABLE if Redis cannot be used; every other error is passed on. */
export async function callRedis<T>(command: () => Promise<T>): Promise<T> {
  try {
    return await command();
  } catch (cause) {
    if (isAccessRefused(cause) || isRedisUnavailable(cause))
      throw new InferqlError('UNAVAILABLE', { retryAfterMs: 1_000, cause });
    throw cause;
  }
}
