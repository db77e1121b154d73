/** GraphQL over WebSocket: authentication, limits and the end of subscriptions. */
import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { InferqlError } from '@inferql/queue/error-codes';
import {
  type DocumentNode,
  type ExecutionArgs,
  type ExecutionResult,
  execute,
  GraphQLError,
  getOperationAST,
} from 'graphql';
import type { SubscribePayload } from 'graphql-ws';
import type { Logger } from 'pino';
import { type WebSocket, WebSocketServer } from 'ws';
import type { Access } from '../../access/access.ts';
import { authorizeOperation } from '../../access/authorize.ts';
import type { Principal } from '../../access/principal.ts';
import type { Session } from '../../access/sessions.ts';
import type { Config } from '../../config.ts';
import type { ServerContext } from '../../schema/context.ts';
import type { App } from '../app.ts';
import { answerOnSocket } from '../connections/raw-response.ts';
import { createResultMask, withCode } from '../operations/error-mask.ts';
import { executeSubscription, maskErrors } from '../operations/execute-subscription.ts';
import { isAllowedOrigin } from '../requests/cors.ts';
import { findHostProblem, HOST_ANSWERS } from '../requests/host-check.ts';
import { clientAddress } from '../requests/proxy.ts';
import { SEND_GRACE_MS } from '../send-grace.ts';
import { readConnectionAuthorization } from './connection-authorization.ts';
import { type SocketExtra, serveWebSockets } from './web-socket-connection.ts';

/** 'Service restart': clients reconnect. */
const DRAIN_CLOSE_CODE = 1012;
const CLOSE_GRACE_MS = 1_000;
/** 'Unauthorized': graphql-ws' clients do not try again, as they do after 4403. */
const UNAUTHORIZED_CLOSE_CODE = 4401;
/** 'Try again later'. */
const UNAVAILABLE_CLOSE_CODE = 1013;

/** The state of one connection. */
type Connection = {
  /** Set once the caller is known. */
  caller?: Principal;
  /** Ends it when its caller's key or token ends. */
  session?: Session;
};
type Extra = SocketExtra & Connection & Partial<Record<PropertyKey, never>>;

const FOREIGN_PAGE = {
  status: 403,
  code: 'BAD_REQUEST',
  message:
    'The Origin header names another host than the Host header. Allow that origin in INFERQL_CORS_ORIGINS. Behind a proxy, pass Host on, or set INFERQL_TRUST_PROXY.',
} as const;

interface WebSocketOptions {
  app: App;
  access: Access;
  makeContext(caller: Principal, signal: AbortSignal | undefined): ServerContext;
  config: Pick<
    Config,
    | 'corsOrigins'
    | 'maxQueryBytes'
    | 'maxSubscriptionsPerConnection'
    | 'introspection'
    | 'host'
    | 'allowedHosts'
    | 'trustProxy'
    | 'drainMs'
  >;
  log: Logger;
}

/**
 * Subscriptions, queries and mutations over WebSocket (graphql-transport-ws), on the port and path of HTTP. A connection is
 * accepted and authenticated; each of its operations is prepared, executed and completed.
 */
export class WebSockets {
  readonly #options: WebSocketOptions;
  readonly #sockets: WebSocketServer;
  readonly #mask: (error: unknown) => GraphQLError;
  /** Queries and mutations by connection and operation: aborted when either ends. */
  readonly #operations = new WeakMap<object, Map<string, AbortController>>();
  /** By an operation's arguments: lets further messages of its connection begin. */
  readonly #releases = new WeakMap<object, () => void>();
  #draining = false;
  readonly #restarting = new WeakSet<WebSocket>();

  constructor(options: WebSocketOptions) {
    const { config, log } = options;
    this.#options = options;
    this.#sockets = new WebSocketServer({ noServer: true, maxPayload: config.maxQueryBytes });
    this.#mask = createResultMask(config, log);
    serveWebSockets<Record<string, unknown>, Extra>(
      {
        onConnect: ({ connectionParams, extra }) => this.#authenticate(extra, connectionParams),
        onSubscribe: ({ extra, subscriptions }, id, params) =>
          this.#prepare(extra, id, params, Object.keys(subscriptions).length),
        execute: async (args) => maskErrors(await execute(args), this.#mask),
        subscribe: (args) => this.#subscribe(args),
        onNext: ({ extra }) => extra.limits.awaitRoom(),
        onComplete: ({ extra }, id) => this.#complete(extra, id),
        onClose: ({ extra }) => this.#release(extra),
      },
      this.#sockets,
      log,
    );
  }

  /** Upgrades a connection that asks for a WebSocket at the endpoint, or refuses it. */
  accept(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { config } = this.#options;
    const sockets = this.#sockets;
    socket.on('error', () => socket.destroy());
    const problem = findHostProblem(request, config);
    if (problem) answerOnSocket(socket, HOST_ANSWERS[problem]);
    else if (!isAllowedOrigin(request, config.corsOrigins, config.trustProxy)) answerOnSocket(socket, FOREIGN_PAGE);
    else sockets.handleUpgrade(request, socket, head, (connection) => sockets.emit('connection', connection, request));
  }

  /** @returns whether the caller may use the connection; if not, it is being closed */
  async #authenticate(extra: Extra, connectionParams: Record<string, unknown> | undefined): Promise<boolean> {
    const { access, config } = this.#options;
    try {
      const caller = await access.authenticator.authenticate({
        authorization: readConnectionAuthorization(connectionParams, extra.request),
        address: clientAddress(extra.request, config.trustProxy),
        header: (name) => extra.request.headers[name.toLowerCase()]?.toString(),
      });
      const session = { end: (reason: InferqlError) => this.#refuse(extra.socket, reason) };
      Object.assign(extra, { caller, session });
      access.sessions.add(caller, session);
      // The connection may have been closed meanwhile: nobody would remove the session then.
      if (extra.socket.readyState !== extra.socket.OPEN) access.sessions.remove(caller, session);
      return true;
    } catch (error) {
      this.#refuse(extra.socket, error);
      return false;
    }
  }

  /** What an operation is executed with, or why it is refused. `open`: the connection's operations, this one included. */
  async #prepare(
    extra: Extra,
    id: string,
    params: SubscribePayload,
    open: number,
  ): Promise<ExecutionArgs | GraphQLError[]> {
    const { app, access, makeContext, config } = this.#options;
    const release = extra.limits.takeRelease();
    if (open > config.maxSubscriptionsPerConnection) return [this.#tooManyOperations()];
    const enveloped = app.getEnveloped({ params });
    try {
      const document = parseDocument(enveloped.parse, params.query);
      const errors = enveloped.validate(enveloped.schema, document) as GraphQLError[];
      if (errors.length > 0) return errors.map(this.#mask);
      const operation = getOperationAST(document, params.operationName);
      if (!operation) return [noOperation()];
      if (!extra.caller) throw new InferqlError('UNAUTHENTICATED');
      const caller = await access.authenticator.authenticateAgain(extra.caller);
      extra.caller = caller;
      // After the last step that waits: from here on, the connection is busy.
      if (this.#draining) throw new InferqlError('UNAVAILABLE', { retryAfterMs: 1_000 });
      authorizeOperation(enveloped.schema, document, params.operationName, caller);
      const isSubscription = operation.operation === 'subscription';
      const args = {
        schema: enveloped.schema,
        operationName: params.operationName ?? null,
        document,
        variableValues: params.variables ?? null,
        // A subscription ends through its iterator; it needs no signal, and there may be thousands.
        contextValue: makeContext(caller, isSubscription ? undefined : this.#openSignal(extra.socket, id)),
      };
      this.#releases.set(args, release);
      return args;
    } catch (error) {
      if (error instanceof InferqlError && error.code === 'UNAUTHENTICATED') this.#refuse(extra.socket, error);
      return [this.#mask(error)];
    }
  }

  async #subscribe(args: ExecutionArgs): Promise<AsyncIterableIterator<ExecutionResult> | ExecutionResult> {
    const results = await executeSubscription(args, this.#mask);
    this.#releases.get(args)?.();
    this.#releases.delete(args);
    return Symbol.asyncIterator in results ? results : maskErrors(results, this.#mask);
  }

  #complete({ socket }: Extra, id: string): void {
    this.#operations.get(socket)?.get(id)?.abort();
    this.#operations.get(socket)?.delete(id);
    if (this.#draining && !this.#isBusy(socket)) this.#restart(socket);
  }

  /** Ends what a closed connection has left. */
  #release({ caller, session, socket }: Extra): void {
    if (caller && session) this.#options.access.sessions.remove(caller, session);
    for (const controller of this.#operations.get(socket)?.values() ?? []) controller.abort();
  }

  /**
   * Ends all connections with code 1012: those without queries and mutations at once, the others when these have ended, at the
   * latest shortly after `config.drainMs`. Accepts nothing more.
   */
  async drain(): Promise<void> {
    this.#draining = true;
    const { clients } = this.#sockets;
    // Not once() of node:events, which would reject if a client sends something invalid at last.
    const closed = [...clients].map((client) => new Promise((resolve) => client.once('close', resolve)));
    this.#sockets.close();
    for (const client of clients) if (!this.#isBusy(client)) this.#restart(client);
    // Waits end with the current state after `drainMs`; their answers have a moment to be sent.
    const forced = setTimeout(() => {
      for (const client of clients) this.#restart(client);
    }, this.#options.config.drainMs + SEND_GRACE_MS);
    await Promise.all(closed);
    clearTimeout(forced);
  }

  #isBusy(socket: object): boolean {
    return (this.#operations.get(socket)?.size ?? 0) > 0;
  }

  #restart(client: WebSocket): void {
    // Each operation that ends asks for it.
    if (this.#restarting.has(client)) return;
    this.#restarting.add(client);
    client.close(DRAIN_CLOSE_CODE, 'Service restart');
    // Do not wait for clients that do not answer the close frame.
    const forced = setTimeout(() => client.terminate(), CLOSE_GRACE_MS);
    client.once('close', () => clearTimeout(forced));
  }

  /** Logged for each refusal, as every error is. */
  #tooManyOperations(): GraphQLError {
    const { maxSubscriptionsPerConnection } = this.#options.config;
    return this.#mask(
      new InferqlError('RATE_LIMITED', {
        message: `A connection may have at most ${maxSubscriptionsPerConnection} open operations. Complete some, or open another connection.`,
        retryAfterMs: 1_000,
      }),
    );
  }

  #refuse(socket: Extra['socket'], reason: unknown): void {
    if (reason instanceof InferqlError && reason.code === 'UNAUTHENTICATED') {
      socket.close(UNAUTHORIZED_CLOSE_CODE, 'Unauthorized');
    } else {
      if (!(reason instanceof InferqlError)) this.#options.log.error({ err: reason }, 'unexpected error');
      socket.close(UNAVAILABLE_CLOSE_CODE, 'Try again later');
    }
  }

  #openSignal(socket: object, id: string): AbortSignal {
    const controller = new AbortController();
    const running = this.#operations.get(socket) ?? new Map<string, AbortController>();
    this.#operations.set(socket, running.set(id, controller));
    return controller.signal;
  }
}

/** With the codes that the same errors have over HTTP. */
function parseDocument(parse: (text: string) => unknown, text: string): DocumentNode {
  try {
    return parse(text) as DocumentNode;
  } catch (error) {
    throw error instanceof GraphQLError ? withCode(error, 'GRAPHQL_PARSE_FAILED') : error;
  }
}

function noOperation(): GraphQLError {
  const extensions = { code: 'OPERATION_RESOLUTION_FAILURE' };
  return new GraphQLError('Could not determine what operation to execute.', { extensions });
}

/** The path that a request names, without its query. */
export function pathOf({ url = '' }: IncomingMessage): string {
  return url.split('?')[0]!;
}
