/** A container's health check: exit code 0 while a worker of this host is registered, 1 otherwise. Heartbeats keep the record alive. */
import { hostname } from 'node:os';
import { Registry } from '@inferql/queue/models/registry';
import { connectRedis } from '@inferql/queue/redis/connection';
import { readConfig } from './config.ts';

const ANSWER_TIMEOUT_MS = 5_000;

const config = readConfig(process.env);
const redis = connectRedis(config.redisUrl, 'work');
// A worker waits for Redis to come back; a health check reports that it is gone.
redis.once('error', () => process.exit(1));
setTimeout(() => process.exit(1), ANSWER_TIMEOUT_MS);

const registry = new Registry(redis, { prefix: config.prefix });
const models = await registry.models();
const queues = await Promise.all(models.map(({ name }) => registry.queueState(name)));
const isAnnounced = queues.some((queue) => queue?.workers.some(({ worker }) => worker.startsWith(`${hostname()}-`)));
process.exit(isAnnounced ? 0 : 1);
