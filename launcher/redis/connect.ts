/** Connections of the launcher: short ones, made with the queue's `connectRedis`. */
import { connectRedis, type RedisConnection } from '@inferql/queue/redis/connection';

/**
 * Opens a connection and closes it after `use`.
 * @param onFailure called for each failed try to connect; it may return an error that ends the wait
 * @throws the error of `onFailure`, of `use`, or `no answer in … ms`
 */
export async function withRedis<T>(
  url: string,
  timeoutMs: number,
  use: (redis: RedisConnection) => Promise<T>,
  onFailure: (error: Error) => Error | undefined = (error) => error,
): Promise<T> {
  const redis = connectRedis(url, 'request');
  try {
    await waitUntilReady(redis, timeoutMs, onFailure);
    return await use(redis);
  } finally {
    redis.disconnect();
  }
}

function waitUntilReady(
  redis: RedisConnection,
  timeoutMs: number,
  onFailure: (error: Error) => Error | undefined,
): Promise<void> {
  return new Promise((resolve, reject) => {
    let isSettled = false;
    const settle = (error?: Error) => {
      isSettled = true;
      clearTimeout(timer);
      if (error) reject(error);
      else resolve();
    };
    const timer = setTimeout(() => settle(new Error(`no answer in ${timeoutMs} ms`)), timeoutMs);
    redis.once('ready', () => settle());
    // The listener stays: an error without one would be printed.
    redis.on('error', (error: Error) => {
      if (isSettled) return;
      const end = onFailure(error);
      if (end) settle(end);
    });
  });
}
