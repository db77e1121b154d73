/** The server's process: settings, connections, port, signals. Everything else is called from here and has no side effects. */

import { setSharpGlobals } from '@inferql/images/sharp-settings';
import { logConsole } from '@inferql/queue/redis/outage-report';
import { findSettingMistakes } from '@inferql/settings/settings';
import { pino } from 'pino';
import { readConfig } from './config.ts';
import { HttpServer } from './http/http-server.ts';
import { createMetricsServer, loadMetrics } from './metrics/metrics-server.ts';
import { openConnections } from './redis-connections.ts';
import { ServerComponents } from './server-components.ts';
import { openUploadDir } from './uploads/upload-dir.ts';

/** Also true if the launcher has gone meanwhile, which `process.connected` then says. */
const launched = process.send !== undefined;
const config = orExit(() => readConfig(process.env));
const mayListen =
  launched && config.listen === 'on-message'
    ? new Promise<void>((resolve) => {
        process.on('message', (message: { type?: unknown }) => {
          if (message?.type === 'listen') resolve();
        });
      })
    : Promise.resolve();

// Not pino's default destination, which retries forever at exit if its reader is gone, for example after the launcher has died.
process.stdout.on('error', () => {});
const log = pino({ level: config.logLevel, base: { name: 'server', pid: process.pid } }, process.stdout);
// A launcher has reported them already.
if (!launched) for (const mistake of findSettingMistakes(process.env)) log.warn(mistake);
logConsole(log);
setSharpGlobals();
const createMetrics = await loadMetrics(config);
const uploadDir = orExit(() => openUploadDir(config.stateDir));

const { redis, subscriber, checked, close } = openConnections(config, log);
checked.catch((error: Error) => {
  log.fatal(error.message);
  uploadDir.remove();
  process.exit(1);
});
const components = new ServerComponents({ config, uploadDir: uploadDir.dir, redis, subscriber, log, createMetrics });
const listener = new HttpServer({ config, components, log });
const metricsServer = components.metrics && createMetricsServer(components.metrics, config, log);

let stopping: Promise<void> | undefined;

function stop(reason: string): void {
  stopping ??= (async () => {
    log.info({ reason }, 'draining');
    await listener.drain();
    metricsServer?.close();
    components.close();
    close();
    uploadDir.remove();
    log.info('stopped');
    process.exit(0);
  })();
}

process.on('SIGTERM', () => stop('SIGTERM'));
process.on('SIGINT', () => {
  // Ctrl-C reaches the whole group; a launcher sends SIGTERM when this process should end.
  if (!launched) stop('SIGINT');
});
if (launched) process.on('disconnect', () => stop('the launcher is gone'));
// It went while this process was loading: there is no event any more.
if (launched && !process.connected) stop('the launcher is gone');
process.on('unhandledRejection', (error) => log.error({ err: error }, 'unhandled promise rejection'));

await mayListen;
if (!stopping) {
  try {
    const url = await listener.listen();
    log.info({ url }, 'listening');
    await openMetrics();
    if (launched && process.connected) process.send?.({ type: 'listening', url });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    log.fatal({ err: error }, 'cannot listen');
    if (launched && process.connected) process.send?.({ type: 'listen-failed', code, message });
    uploadDir.remove();
    // The message must be sent before the process exits.
    setImmediate(() => process.exit(1));
  }
}

/** The API is served without metrics if their port cannot be opened. */
async function openMetrics(): Promise<void> {
  try {
    const url = await metricsServer?.listen();
    if (url) log.info({ url }, 'serving metrics');
  } catch (error) {
    log.error({ err: error }, 'cannot open METRICS_PORT; serving without metrics');
  }
}

/** What a person must correct ends the process with a message instead of a stack. */
function orExit<T>(start: () => T): T {
  try {
    return start();
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n`);
    process.exit(1);
  }
}
