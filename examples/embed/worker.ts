/** A worker inside a program: the models of a folder, until SIGTERM. */
import { startWorker } from '@inferql/worker';

const worker = await startWorker({
  redisUrl: process.env.REDIS_URL ?? 'redis://127.0.0.1:6379',
  models: './models',
});
console.log(`serving ${worker.models().join(', ')}`);

process.once('SIGTERM', () => worker.stop());
