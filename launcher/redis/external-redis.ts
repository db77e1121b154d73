/** The Redis that REDIS_URL names. It is not managed here, so the launcher only waits for it. */

import type { RedisConnection } from '@inferql/queue/redis/connection';
import { checkRedisDatabase } from '@inferql/queue/redis/database';
import { findCure } from '@inferql/queue/redis/outage-cures';
import { parseRedisUrl } from '@inferql/queue/redis/url';
import { checkRedisVersion, UnsuitableRedisError } from '@inferql/queue/redis/version';
import { SetupError, showStep } from '../terminal.ts';
import { withRedis } from './connect.ts';

const UNKNOWN_AUTHORITY = /^(self-signed certificate|unable to (get|verify) .*certificate)/;
const REFUSED_LOGIN = /WRONGPASS|NOAUTH|invalid password|without any password configured/;

/**
 * Resolves once it answers.
 * @param show shows the wait to a person
 * @throws SetupError if the URL is wrong, or Redis is too old, refuses the login or the database, has a certificate that cannot be checked, or
 * does not answer within `waitMs`
 */
export async function waitForExternalRedis(url: string, waitMs: number, show = showStep): Promise<void> {
  const shown = parseUrl(url);
  let lastFailure = 'no answer';
  const onFailure = (error: Error) => {
    lastFailure = describeRedisError(error);
    // Node reads the authorities that it knows only when it starts.
    if (UNKNOWN_AUTHORITY.test(lastFailure)) {
      return new SetupError(
        `The certificate of Redis at ${shown} (REDIS_URL) cannot be checked: ${lastFailure}.\n${findCure(lastFailure)}`,
      );
    }
    if (!REFUSED_LOGIN.test(lastFailure)) return undefined;
    return new SetupError(
      `Redis at ${shown} refuses the login in REDIS_URL: ${lastFailure}\n${findCure(lastFailure) ?? 'Correct REDIS_URL.'}`,
    );
  };
  await show(`Waiting for Redis at ${shown}`, async () => {
    try {
      await withRedis(url, waitMs, checkServer, onFailure);
    } catch (error) {
      if (error instanceof SetupError) throw error;
      throw new SetupError(
        `Redis at ${shown} (REDIS_URL) does not respond: ${lastFailure.replace(/\.$/, '')}.\n${findCure(lastFailure) ?? 'Start it, or correct REDIS_URL.'} Without REDIS_URL, a private Redis is started.`,
      );
    }
  });

  async function checkServer(redis: RedisConnection): Promise<void> {
    await checkRedisDatabase(redis).catch((error: Error) => {
      lastFailure = error.message;
      if (lastFailure.includes('REDIS_URL names')) throw new SetupError(`Redis at ${shown}: ${lastFailure}.`);
      throw error;
    });
    try {
      await checkRedisVersion(redis);
    } catch (error) {
      const { message } = error as Error;
      // A user without the right to ask for the version may have all the rights that predictions need.
      if (message.startsWith('NOPERM')) return;
      lastFailure = message;
      if (error instanceof UnsuitableRedisError) {
        throw new SetupError(
          `Redis at ${shown} (REDIS_URL): ${message}.\nCorrect REDIS_URL, use another Redis, or unset REDIS_URL to start a private one.`,
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
