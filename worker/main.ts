/** The worker's process: settings, connections, signals. */

import { setFlagsFromString } from 'node:v8';
import { createProcessConverter } from '@inferql/converter/conversion-process/convert-in-process';
import { connectRedis } from '@inferql/queue/redis/connection';
import { checkRedisDatabase } from '@inferql/queue/redis/database';
import { logConsole, reportConnections } from '@inferql/queue/redis/outage-report';
import { checkRedisVersion } from '@inferql/queue/redis/version';
import { EXIT_RESTART } from '@inferql/settings/exit-codes';
import { findSettingMistakes } from '@inferql/settings/settings';
import { pino } from 'pino';
import { readConfig, type WorkerConfig } from './config.ts';
import { createFolderSource, createScriptedSource } from './repository/model-source.ts';
import { serveModels } from './serving/served-models.ts';

const MEBIBYTE = 1024 * 1024;

// V8 collects the whole heap each time external memory, here the pixels of a few batches, has grown by a fraction of the live
// heap. A worker's live heap is small, so that this took a third of its CPU.
setFlagsFromString('--heap-growing-percent=300');

let config: WorkerConfig;
try {
  config = readConfig(process.env);
} catch (error) {
  console.error((error as Error).message);
  process.exit(1);
}
// Not pino's default destination, which retries forever at exit if its reader is gone, for example after the launcher has died.
process.stdout.on('error', () => {});
const log = pino({ level: config.logLevel, base: { role: 'worker', pid: process.pid } }, process.stdout);
// A launcher has reported them already.
if (process.send === undefined) for (const mistake of findSettingMistakes(process.env)) log.warn(mistake);
const redis = connectRedis(config.redisUrl, 'work');
reportConnections([redis], config.redisUrl, log);
logConsole(log);

const source = config.scriptedModels
  ? createScriptedSource(config.scriptedModels)
  : createFolderSource({ ...config, redis, log, convert: createProcessConverter() });
const servedModels = serveModels({ ...config, source, redis, log, onBatch: checkMemory });
let draining: Promise<void> | undefined;

function drain(exitCode: number, reason: string): void {
  draining ??= (async () => {
    log.info({ reason }, 'draining');
    setTimeout(() => {
      log.error('drain limit reached; other workers reclaim the remaining jobs');
      process.exit(1);
    }, config.drainLimitMs);
    await servedModels.drain();
    log.info('stopped');
    process.exit(exitCode);
  })();
}

function checkMemory(): void {
  if (config.maxRssBytes === 0) return;
  const engines = servedModels.engines().map((engine) => engine.rssBytes());
  const rssBytes = process.memoryUsage.rss() + engines.reduce((sum, bytes) => sum + bytes, 0);
  if (rssBytes <= config.maxRssBytes) return;
  const rssMb = Math.round(rssBytes / MEBIBYTE);
  log.warn({ rssMb, maxRssMb: config.maxRssBytes / MEBIBYTE }, 'memory limit exceeded; restarting');
  drain(EXIT_RESTART, 'memory');
}

// Under the launcher Ctrl-C reaches the whole process group, and the launcher signals each process when to stop.
const isSupervised = process.send !== undefined;
process.on('SIGTERM', () => drain(0, 'SIGTERM'));
process.on('SIGINT', () => isSupervised || drain(0, 'SIGINT'));
if (isSupervised) process.once('disconnect', () => drain(0, 'the supervisor is gone'));
// It went while this process was loading: there is no event any more.
if (isSupervised && !process.connected) drain(0, 'the supervisor is gone');
// From the start: without a listener this signal ends a process.
process.on('SIGHUP', () => servedModels.sync({ retryAll: true }));

try {
  await checkRedisVersion(redis);
  await checkRedisDatabase(redis);
} catch (error) {
  log.fatal((error as Error).message);
  process.exit(1);
}

// Before the repository is read: what changes while models load would be noticed late.
source.watch(servedModels.sync);
await servedModels.sync();
const missing = config.models.filter((name) => !servedModels.names().includes(name));
if (!draining && missing.length > 0) log.warn({ missing }, 'INFERQL_MODELS names models that are not served');
if (!draining && servedModels.names().length === 0) {
  log.fatal('no model can be served');
  process.exit(1);
}
if (!draining && process.connected) process.send!({ type: 'ready', models: servedModels.names() });
