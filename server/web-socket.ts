import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { type ExecutionArgs, type ExecutionResult, type FormattedExecutionResult, GraphQLError } from 'graphql';
import { type Extra, useServer } from 'graphql-ws/use/ws';
import { WebSocketServer } from 'ws';
import type { App } from './app.ts';
import type { Config } from './config.ts';
import { withoutHttp } from './error-mask.ts';

/** 'Service restart': clients reconnect. */
const DRAIN_CLOSE_CODE = 1012;
const CLOSE_GRACE_MS = 1_000;

interface Operation {
  rootValue: { execute(args: unknown): unknown; subscribe(args: unknown): unknown };
}

/**
 * Subscriptions, queries and mutations over WebSocket (graphql-transport-ws), on the port and path of HTTP.
 * @returns ends all connections with code 1012
 */
export function attachWebSockets(
  server: Server,
  { app, config }: { app: App; config: Pick<Config, 'corsOrigins' | 'maxQueryBytes'> },
) {
  const sockets = new WebSocketServer({ noServer: true, maxPayload: config.maxQueryBytes });
  /** By connection and operation: aborted when either ends. */
  const operations = new WeakMap<object, Map<string, AbortController>>();

  const started = useServer<Record<string, unknown>, Extra & Partial<Record<PropertyKey, never>>>(
    {
      execute: (args) => (args as unknown as Operation).rootValue.execute(args) as ExecutionResult,
      subscribe: (args) => (args as unknown as Operation).rootValue.subscribe(args) as ExecutionResult,
      async onSubscribe({ extra }, id, params) {
        const controller = new AbortController();
        const running = operations.get(extra.socket) ?? new Map<string, AbortController>();
        operations.set(extra.socket, running.set(id, controller));
        const enveloped = app.getEnveloped({ params, signal: controller.signal });
        try {
          const document = enveloped.parse(params.query) as ExecutionArgs['document'];
          const errors = enveloped.validate(enveloped.schema, document) as GraphQLError[];
          if (errors.length > 0) return errors;
          return {
            schema: enveloped.schema,
            operationName: params.operationName,
            document,
            variableValues: params.variables,
            contextValue: await enveloped.contextFactory(),
            rootValue: { execute: enveloped.execute, subscribe: enveloped.subscribe },
          } as ExecutionArgs;
        } catch (error) {
          return [error instanceof GraphQLError ? error : new GraphQLError('Unexpected error.')];
        }
      },
      onNext: (_context, _id, _payload, _args, result) => {
        if (!result.errors) return;
        const errors = result.errors.map((error) => withoutHttp(error).toJSON());
        return { ...result, errors } as FormattedExecutionResult;
      },
      onError: (_context, _id, _payload, errors) => errors.map((error) => withoutHttp(error).toJSON()),
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

  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on('error', () => socket.destroy());
    const path = (request.url ?? '').split('?')[0];
    if (path !== '/graphql') return refuseUpgrade(socket, '404 Not Found');
    if (!isAllowedOrigin(request, config.corsOrigins)) return refuseUpgrade(socket, '403 Forbidden');
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

function refuseUpgrade(socket: Duplex, status: string): void {
  socket.end(`HTTP/1.1 ${status}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`);
}

/** A browser tells which page opens the connection; programs tell nothing, and no page can act through them. */
function isAllowedOrigin({ headers }: IncomingMessage, corsOrigins: string[]): boolean {
  const { origin, host } = headers;
  if (origin === undefined || corsOrigins.includes('*') || corsOrigins.includes(origin)) return true;
  return URL.canParse(origin) && new URL(origin).host === host;
}
