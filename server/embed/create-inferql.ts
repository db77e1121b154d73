/** The library's entry point: a server inside a host application. */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import type { RedisConnection } from '@inferql/queue/redis-connection';
import { openAddedFields } from '../access/authorize.ts';
import { ANONYMOUS, type Principal } from '../access/principal.ts';
import { answerRequest } from '../http/answer-request.ts';
import { makeContext } from '../http/app.ts';
import { createTransports } from '../http/transports.ts';
import { pathOf } from '../http/web-socket/web-socket.ts';
import { openConnections } from '../redis-connections.ts';
import { schema as ownSchema } from '../schema/schema.ts';
import { ServerComponents } from '../server-components.ts';
import { startInlineRedis, startInlineWorker } from './inline.ts';
import { checkExtended, resolveOptions } from './options.ts';
import { toSubgraph } from './subgraph.ts';
import { checkSubmission, followSubmission } from './submission.ts';
import type { InferQL, InferQLOptions } from './types.ts';

/** The first request waits this long for Redis; after it, requests answer UNAVAILABLE until Redis is there. */
const CONNECT_WAIT_MS = 3_000;

/**
 * Creates an InferQL server inside another program. It connects to nothing before `start()` or the first request, opens no port, reads
 * no environment variables and handles no signals; several may run in one process.
 * @throws TypeError that names a wrong option and what was expected
 * @example
 * const inferql = createInferQL({ redisUrl: 'redis://127.0.0.1:6379', endpoint: '/api/graphql' });
 * app.use('/api/graphql', (request, response) => inferql.node(request, response)); // Express
 * export const POST = inferql.fetch; // a Next.js route handler
 */
export function createInferQL(options: InferQLOptions = {}): InferQL {
  const { config, endpoint, log } = resolveOptions(options);
  const extended = options.extendSchema ? openAddedFields(checkExtended(options.extendSchema(ownSchema))) : ownSchema;
  const schema = options.federation ? toSubgraph(extended) : extended;
  let running: Promise<Running> | undefined;
  let stopping: Promise<void> | undefined;

  async function open() {
    const inline = options.runInline === true ? {} : options.runInline || undefined;
    const closers: (() => Promise<void> | void)[] = [];
    const closeAll = async () => {
      for (const closePart of closers.reverse()) await closePart();
    };
    try {
      let { redisUrl } = config;
      if (inline && options.redisUrl === undefined) {
        const privateRedis = await startInlineRedis(inline, log);
        closers.push(() => privateRedis.stop());
        redisUrl = privateRedis.url;
      }
      const { redis, subscriber, close } = openConnections({ redisUrl }, log);
      closers.push(close);
      if (inline) {
        const worker = await startInlineWorker(inline, { redisUrl, prefix: config.prefix, log });
        closers.push(() => worker.stop());
      }
      const { authenticate, hooks, plugins } = options;
      // Each file in the folder for uploads has a random name and is readable only by this user.
      const uploadDir = tmpdir();
      const components = new ServerComponents({ config, uploadDir, redis, subscriber, log, authenticate, hooks });
      closers.push(() => components.close());
      const transports = { config, components, log, schema, endpoint, plugins, servesSite: false };
      const { app, webSockets } = createTransports(transports);
      closers.push(async () => {
        components.drain();
        await webSockets.drain();
        await app.dispose();
      });
      await Promise.race([
        Promise.all([redis, subscriber].map(untilReady)),
        delay(CONNECT_WAIT_MS, undefined, { ref: false }),
      ]);
      return { components, app, webSockets, close: closeAll };
    } catch (error) {
      await closeAll();
      throw error;
    }
  }

  async function close(): Promise<void> {
    const opened = await running?.catch(() => undefined);
    await opened?.close();
  }

  function ensureRunning(): Promise<Running> {
    if (stopping) return Promise.reject(new Error('InferQL was stopped. Create another instance to continue.'));
    running ??= open();
    return running;
  }

  type Running = Awaited<ReturnType<typeof open>>;

  return {
    schema,

    async fetch(request) {
      const { app } = await ensureRunning();
      return app.fetch(request);
    },

    async node(request: IncomingMessage, response: ServerResponse) {
      const { app } = await ensureRunning();
      // Express removes the path at which it mounted this.
      const { originalUrl } = request as IncomingMessage & { originalUrl?: string };
      if (originalUrl !== undefined) request.url = originalUrl;
      await answerRequest(app, request, response, log);
    },

    async createContext({ headers, signal }) {
      const { components } = await ensureRunning();
      const caller = await components.access.authenticator.authenticate({
        authorization: headers.get('authorization'),
        address: undefined,
        header: (name) => headers.get(name) ?? undefined,
      });
      return makeContext(components.services, caller, signal);
    },

    attachWebSockets(server: Server) {
      server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
        if (pathOf(request) !== endpoint || request.headers.upgrade?.toLowerCase() !== 'websocket') return;
        ensureRunning().then(
          ({ webSockets }) => webSockets.accept(request, socket, head),
          () => socket.destroy(),
        );
      });
    },

    async *submit(image, submitOptions = {}) {
      checkSubmission(image, submitOptions);
      const { components } = await ensureRunning();
      const caller: Principal = submitOptions.caller
        ? await components.access.authenticator.accept(submitOptions.caller)
        : ANONYMOUS;
      yield* followSubmission(components.services, image, caller, submitOptions);
    },

    async start() {
      await ensureRunning();
    },

    stop() {
      stopping ??= close();
      return stopping;
    },
  };
}

async function untilReady(connection: RedisConnection): Promise<void> {
  if (connection.status === 'ready') return;
  // 'error' does not end the wait: the connection retries.
  await new Promise<void>((resolve) => connection.once('ready', resolve));
}
