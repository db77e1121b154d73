/** What an embedded server holds between its first request and `stop()`: Redis, workers, components, transports. */
import { tmpdir } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import type { RedisConnection } from '@inferql/queue/redis/connection';
import type { GraphQLSchema } from 'graphql';
import { SEND_GRACE_MS } from '../http/send-grace.ts';
import { createTransports } from '../http/transports.ts';
import { openConnections } from '../redis-connections.ts';
import { ServerComponents } from '../server-components.ts';
import { type Cleanups, runCleanups } from './cleanups.ts';
import { type InlineOptions, startInlineRedis, startInlineWorker } from './inline.ts';
import type { ResolvedOptions } from './options.ts';
import { RequestsInProgress } from './requests-in-progress.ts';
import type { InferQLOptions } from './types.ts';

/** The first request waits this long for Redis; after it, requests answer UNAVAILABLE until Redis is there. */
const CONNECT_WAIT_MS = 3_000;

export interface ServerPlan extends ResolvedOptions {
  options: InferQLOptions;
  schema: GraphQLSchema;
}

type Transports = ReturnType<typeof createTransports>;

export interface RunningServer extends Pick<Transports, 'app' | 'webSockets'> {
  components: ServerComponents;
  requests: RequestsInProgress;
  close(): Promise<void>;
}

/** Opens all parts and waits for Redis, for a bounded time. If a part fails, those before it are closed. */
export async function openServer(plan: ServerPlan): Promise<RunningServer> {
  const cleanups: Cleanups = [];
  const close = () => runCleanups(cleanups);
  try {
    const inline = inlineOptions(plan.options);
    const redisUrl = await provideRedis(plan, inline, cleanups);
    const connections = openConnections({ redisUrl }, plan.log);
    cleanups.push(connections.close);
    if (inline) await runWorker(plan, inline, redisUrl, cleanups);
    const components = createComponents(plan, connections, cleanups);
    const requests = new RequestsInProgress();
    const transports = openTransports(plan, components, requests, cleanups);
    await whenConnected(connections);
    return { components, requests, ...transports, close };
  } catch (error) {
    await close().catch((failure) => plan.log.error({ err: failure }, 'could not close all parts'));
    throw error;
  }
}

function inlineOptions({ runInline }: InferQLOptions): InlineOptions | undefined {
  return runInline === true ? {} : runInline || undefined;
}

async function provideRedis(
  { options, config, log }: ServerPlan,
  inline: InlineOptions | undefined,
  cleanups: Cleanups,
): Promise<string> {
  if (!inline || options.redisUrl !== undefined) return config.redisUrl;
  const privateRedis = await startInlineRedis(inline, log);
  cleanups.push(() => privateRedis.stop());
  return privateRedis.url;
}

async function runWorker(
  { config, log }: ServerPlan,
  inline: InlineOptions,
  redisUrl: string,
  cleanups: Cleanups,
): Promise<void> {
  const worker = await startInlineWorker(inline, { redisUrl, prefix: config.prefix, log });
  cleanups.push(() => worker.stop());
}

type Connections = ReturnType<typeof openConnections>;

function createComponents(
  { options, config, log }: ServerPlan,
  { redis, subscriber }: Connections,
  cleanups: Cleanups,
): ServerComponents {
  const { authenticate, hooks } = options;
  // Each file in the folder for uploads has a random name and is readable only by this user.
  const uploadDir = tmpdir();
  const components = new ServerComponents({ config, uploadDir, redis, subscriber, log, authenticate, hooks });
  cleanups.push(() => components.close());
  return components;
}

function openTransports(
  plan: ServerPlan,
  components: ServerComponents,
  requests: RequestsInProgress,
  cleanups: Cleanups,
): Transports {
  const { options, config, endpoint, log, schema } = plan;
  const { plugins } = options;
  const transports = createTransports({ config, components, log, schema, endpoint, plugins, servesSite: false });
  cleanups.push(async () => {
    components.drain();
    await Promise.all([transports.webSockets.drain(), requests.whenEnded(config.drainMs + SEND_GRACE_MS)]);
    await transports.app.dispose();
  });
  return transports;
}

async function whenConnected({ checked, subscriber }: Connections): Promise<void> {
  const connected = Promise.all([checked, untilReady(subscriber)]);
  await Promise.race([connected, delay(CONNECT_WAIT_MS, undefined, { ref: false })]);
}

async function untilReady(connection: RedisConnection): Promise<void> {
  if (connection.status === 'ready') return;
  // 'error' does not end the wait: the connection retries.
  await new Promise<void>((resolve) => connection.once('ready', resolve));
}

/** Opens a server at the first request, and closes it once. If it cannot be opened, the next request tries again. */
export class LazyServer {
  readonly #plan: ServerPlan;
  #running: Promise<RunningServer> | undefined;
  #stopping: Promise<void> | undefined;

  constructor(plan: ServerPlan) {
    this.#plan = plan;
  }

  /** @throws Error once `stop` was called */
  async running(): Promise<RunningServer> {
    if (this.#stopping) throw new Error('InferQL was stopped. Create another instance to continue.');
    this.#running ??= openServer(this.#plan).catch((error) => {
      // The cause may be gone soon, such as a network that was down: the next request tries again.
      this.#running = undefined;
      throw error;
    });
    return this.#running;
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#close();
    return this.#stopping;
  }

  async #close(): Promise<void> {
    const opened = await this.#running?.catch(() => undefined);
    await opened?.close();
  }
}
