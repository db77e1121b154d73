/** The Redis that REDIS_URL names. It is not managed here, so the launcher only waits for it. */

import { parseRedisUrl } from '@inferql/queue/redis/url';
import { checkRedisVersion } from '@inferql/queue/redis/version';
import { SetupError, showStep } from '../terminal.ts';
import { withRedis } from './connect.ts';

const REFUSED_LOGIN = /WRONGPASS|NOAUTH|invalid password|without any password configured/;

/**
 * Resolves once it answers.
 * @param show shows the wait to a person
 * @throws SetupError if the URL is wrong, or Redis is too old, refuses the login, or does not answer within `waitMs`
 */
export async function waitForExternalRedis(url: string, waitMs: number, show = showStep): Promise<void> {
  const shown = parseUrl(url);
  let lastFailure = 'no answer';
  const onFailure = (error: Error) => {
    lastFailure = describeRedisError(error);
    if (!REFUSED_LOGIN.test(lastFailure)) return undefined;
    return new SetupError(`Redis at ${shown} refuses the login in REDIS_URL: ${lastFailure}`);
  };
  await show(`Waiting for Redis at ${shown}`, async () => {
    try {
      await withRedis(url, waitMs, checkVersion, onFailure);
    } catch (error) {
      if (error instanceof SetupError) throw error;
      throw new SetupError(
        `Redis at ${shown} (REDIS_URL) does not respond: ${lastFailure}.\nStart it, correct REDIS_URL, or unset REDIS_URL to start a private Redis.`,
      );
    }
  });

  async function checkVersion(redis: Parameters<typeof checkRedisVersion>[0]): Promise<void> {
    try {
      await checkRedisVersion(redis);
    } catch (error) {
      const { message } = error as Error;
      // A user without the right to ask for the version may have all the rights that predictions need.
      if (message.startsWith('NOPERM')) return;
      lastFailure = message;
      if (/ or later /.test(message)) {
        throw new SetupError(
          `Redis at ${shown} (REDIS_URL): ${message}.\nUse another Redis, or unset REDIS_URL to start a private one.`,
        );
      }
      throw error;
    }
  }
}

function parseUrl(url: string): string {
  try {
    return parseRedisUrl(url).shown;
  } catch (error) {
    throw new SetupError((error as Error).message);
  }
}

/** The cause as text; a cluster's error is about all its nodes, and carries the last node's error. */
function describeRedisError(error: Error & { lastNodeError?: Error }): string {
  const { message } = error.lastNodeError ?? error;
  return /Protocol error|Unknown RESP type/.test(message) ? 'the server at this address is not Redis' : message;
}
