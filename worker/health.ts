/** A container's health check: exit code 0 while a worker of this host is announced, 1 otherwise. The record lives by its heartbeat. */
import { hostname } from 'node:os';
import { createProducer } from '../queue/producer.ts';
import { connectRedis } from '../queue/redis.ts';
import { readConfig } from './config.ts';

const config = readConfig(process.env);
const redis = connectRedis(config.redisUrl, 'request');
redis.on('error', () => {});
try {
  const producer = createProducer(redis, { prefix: config.prefix });
  const models = await producer.models();
  const queues = await Promise.all(models.map(({ name }) => producer.queueState(name)));
  const isAnnounced = queues.some((queue) => queue?.workers.some(({ worker }) => worker.startsWith(`${hostname()}-`)));
  process.exitCode = isAnnounced ? 0 : 1;
} catch {
  process.exitCode = 1;
}
redis.disconnect();
