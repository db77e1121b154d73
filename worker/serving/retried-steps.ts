/** Steps of the queue that are repeated until Redis accepts them. */
import { setTimeout as sleep } from 'node:timers/promises';
import { isRedisUnavailable } from '@inferql/queue/redis/errors';
import type { StepReporter } from './step-reporter.ts';

const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 2_000;
/** A step is given up if Redis refuses it this many times although Redis is available. */
const MAX_REFUSALS = 5;

/**
 * @param signal ends the repetitions: a step that fails after it is aborted is not sent again
 * @throws if Redis refuses the step for another reason than being unavailable, or after `signal` is aborted
 */
export async function retryUntilAccepted<T>(
  reportOnce: StepReporter,
  name: string,
  step: () => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  for (let retryMs = FIRST_RETRY_MS, refusals = 0; ; retryMs = Math.min(retryMs * 2, LAST_RETRY_MS)) {
    try {
      const answer = await step();
      reportOnce.clear(name);
      return answer;
    } catch (error) {
      signal?.throwIfAborted();
      reportOnce(name, error);
      if (!isRedisUnavailable(error) && ++refusals === MAX_REFUSALS) throw error;
      await sleep(retryMs, undefined, signal && { signal });
    }
  }
}
