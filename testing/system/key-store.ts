import { once } from 'node:events';
import { KeyStore } from '@inferql/queue/access/api-keys';
import { connectRedis } from '@inferql/queue/redis/connection';
import { DEFAULT_PREFIX } from '@inferql/queue/redis/keys';

/** Works with the API keys of a test system, as an operator does. */
export async function withKeyStore<T>(redisUrl: string, work: (store: KeyStore) => Promise<T>): Promise<T> {
  const connection = connectRedis(redisUrl, 'request');
  try {
    await once(connection, 'ready');
    return await work(new KeyStore(connection, { prefix: DEFAULT_PREFIX }));
  } finally {
    connection.disconnect();
  }
}
