/** How often a connection was lost, and with it possibly a reply. */
import type { RedisConnection } from './connection.ts';

export interface ConnectionLosses {
  readonly count: number;
}

const watched = new WeakMap<RedisConnection, ConnectionLosses>();

/** Adds one listener to a connection, however often it is called: what uses a worker's connection comes and goes with its models. */
export function watchLosses(redis: RedisConnection): ConnectionLosses {
  const known = watched.get(redis);
  if (known) return known;
  const losses = { count: 0 };
  redis.on('close', () => losses.count++);
  watched.set(redis, losses);
  return losses;
}
