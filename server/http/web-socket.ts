import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { type DocumentNode, execute, type GraphQLError, getOperationAST } from 'graphql';
import { type Extra, useServer } from 'graphql-ws/use/ws';
import type { Logger } from 'pino';
import { WebSocketServer } from 'ws';
import type { Config } from '../config.ts';
import type { ServerContext } from '../schema/context.ts';
import type { App } from './app.ts';
import { answerOnSocket } from './bare-answer.ts';
import { createResultMask } from './error-mask.ts';
import { maskErrors, subscribeLean } from './execute-subscription.ts';
import { asksForWebSocket, continueWithoutUpgrade } from './foreign-upgrade.ts';
import { findHostProblem } from './host-check.ts';
import { isAllowedOrigin } from './proxy.ts';

/** 'Service restart': clients reconnect. */
const DRAIN_CLOSE_CODE = 1012;
const CLOSE_GRACE_MS = 1_000;

const NO_SUCH_PATH = { status: 404, code: 'BAD_REQUEST', message: 'WebSockets are served at /graphql.' } as const;
const BAD_HOST = {
  status: 400,
  code: 'BAD_REQUEST',
  message: 'The Host header names no host under which this server answers: see INFERQL_ALLOWED_HOSTS.',
} as const;
const FOREIGN_PAGE = {
  status: 403,
  code: 'BAD_REQUEST',
  message:
    'The page in the Origin header is not of the host that was asked. Allow it in CORS_ORIGINS; behind a proxy, pass its Host or set INFERQL_TRUST_PROXY.',
} as const;

/**
 * Subscriptions, queries and mutations over WebSocket (graphql-transport-ws), on the port and path of HTTP.
 * @returns ends all connections with code 1012
 */
export function attachWebSockets(
  server: Server,
  options: {
    app: App;
    makeContext(signal: AbortSignal | undefined): ServerContext;
    config: Pick<Config, 'corsOrigins' | 'maxQueryBytes' | 'introspection' | 'host' | 'allowedHosts' | 'trustProxy'>;
    log: Logger;
  },
) {
  const { app, makeContext, config, log } = options;
  const sockets = new WebSocketServer({ noServer: true, maxPayload: config.maxQueryBytes });
  /** By connection and operation: aborted when either ends. */
  const operations = new WeakMap<object, Map<string, AbortController>>();

  const mask = createResultMask(config, log);

  const started = useServer<Record<string, unknown>, Extra & Partial<Record<PropertyKey, never>>>(
    {
      execute: async (args) => maskErrors(await execute(args), mask),
      async subscribe(args) {
        const results = await subscribeLean(args, mask);
        return Symbol.asyncIterator in results ? results : maskErrors(results, mask);
      },
      async onSubscribe({ extra }, id, params) {
        const enveloped = app.getEnveloped({ params });
        try {
          const document = enveloped.parse(params.query) as DocumentNode;
          const errors = enveloped.validate(enveloped.schema, document) as GraphQLError[];
          if (errors.length > 0) return errors;
          const isSubscription = getOperationAST(document, params.operationName)?.operation === 'subscription';
          return {
            schema: enveloped.schema,
            operationName: params.operationName ?? null,
            document,
            variableValues: params.variables ?? null,
            // A subscription is ended by its iterator; it needs no signal, and there may be thousands.
            contextValue: makeContext(isSubscription ? undefined : openSignal(extra.socket, id)),
          };
        } catch (error) {
          return [mask(error as GraphQLError)];
        }
      },
      onComplete({ extra }, id) {
        operations.get(extra.socket)?.get(id)?.abort();
        operations.get(extra.socket)?.delete(id);
      },
      onClose({ extra }) {
        for (const controller of operations.get(extra.socket)?.values() ?? []) controller.abort();
      },
    },
    sockets,
  );

  function openSignal(socket: object, id: string): AbortSignal {
    const controller = new AbortController();
    const running = operations.get(socket) ?? new Map<string, AbortController>();
    operations.set(socket, running.set(id, controller));
    return controller.signal;
  }

  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    if (!asksForWebSocket(request)) return continueWithoutUpgrade(server, request, socket, head);
    socket.on('error', () => socket.destroy());
    const path = (request.url ?? '').split('?')[0];
    if (findHostProblem(request, config)) return answerOnSocket(socket, BAD_HOST);
    if (path !== '/graphql') return answerOnSocket(socket, NO_SUCH_PATH);
    if (!isAllowedOrigin(request, config.corsOrigins, config.trustProxy)) return answerOnSocket(socket, FOREIGN_PAGE);
    sockets.handleUpgrade(request, socket, head, (connection) => sockets.emit('connection', connection, request));
  });

  return {
    async drain(): Promise<void> {
      for (const client of sockets.clients) client.close(DRAIN_CLOSE_CODE, 'Service restart');
      // A client that does not answer the closing is not waited for.
      const forced = setTimeout(() => {
        for (const client of sockets.clients) client.terminate();
      }, CLOSE_GRACE_MS);
      await started.dispose();
      clearTimeout(forced);
    },
  };
}
