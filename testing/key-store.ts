import { once } from 'node:events';
import { KeyStore } from '@inferql/queue/api-keys';
import { DEFAULT_PREFIX } from '@inferql/queue/keys';
import { connectRedis } from '@inferql/queue/redis-connection';

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
