/** The HTTP server: its port, timeouts, upgrades and drain. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import type { Config } from '../config.ts';
import { schema } from '../schema/schema.ts';
import type { ServerComponents } from '../server-components.ts';
import { answerRequest } from './answer-request.ts';
import type { App } from './app.ts';
import { refuseSmallChunks } from './connections/chunk-limit.ts';
import { limitConnections, readConnectionLimit } from './connections/connection-limit.ts';
import { asksForWebSocket, continueWithoutUpgrade } from './connections/foreign-upgrade.ts';
import { closeAfterBody } from './connections/lingering-close.ts';
import { answerParserErrors } from './connections/parser-errors.ts';
import { oneAtATime } from './connections/pipelining.ts';
import { answerOnSocket, answerRaw } from './connections/raw-response.ts';
import { BodyWatch } from './connections/slow-bodies.ts';
import { closeUnreadAnswers } from './connections/unread-answers.ts';
import { type UnusedConnections, watchUnusedConnections } from './connections/unused-connections.ts';
import { startListening } from './listening.ts';
import { findHostProblem, HOST_ANSWERS } from './requests/host-check.ts';
import { SEND_GRACE_MS } from './send-grace.ts';
import { createTransports } from './transports.ts';
import { pathOf, type WebSockets } from './web-socket/web-socket.ts';

/** Path of the GraphQL API. */
const ENDPOINT = '/graphql';
/**
 * Longer than proxies keep idle connections (Caddy two minutes, Traefik 90 s, many load balancers 60 s), so that the server does not close
 * one that is about to be used.
 */
const KEEP_ALIVE_MS = 130_000;
/** The headers of a request must arrive within this time; a body has no total limit, see slow-bodies.ts. */
const HEADERS_TIMEOUT_MS = 30_000;
/** How often Node looks for headers that are late. */
const HEADERS_CHECK_MS = 2_000;
const TIMEOUTS = {
  requestTimeout: 0,
  headersTimeout: HEADERS_TIMEOUT_MS,
  connectionsCheckingInterval: HEADERS_CHECK_MS,
  keepAliveTimeout: KEEP_ALIVE_MS,
  // Checked here with other mistakes, so that the answer has a message.
  requireHostHeader: false,
};

/** Answered beyond the connection limit, too. */
const HEALTH_CHECKS = ['/health/live', '/health/ready'];

const NO_SUCH_PATH = { status: 404, code: 'BAD_REQUEST', message: `WebSockets are served at ${ENDPOINT}.` } as const;
/** A WebSocket handshake whose Upgrade header a proxy has removed. */
const UPGRADE_LOST = {
  status: 426,
  code: 'BAD_REQUEST',
  message: 'The Upgrade header of the WebSocket is missing. The proxy in front of the server must pass it on.',
} as const;
const TOO_MANY_CONNECTIONS = {
  status: 503,
  code: 'UNAVAILABLE',
  message: 'This server has too many connections. Try again a little later.',
} as const;

/** The server, its port closed at first; `listen` opens it, `drain` ends it without losing an answer. */
export class HttpServer {
  readonly app: App;
  readonly #config: Config;
  readonly #components: ServerComponents;
  readonly #log: Logger;
  readonly #webSockets: WebSockets;
  readonly #bodies = new BodyWatch();
  readonly #server: Server;
  readonly #unused: UnusedConnections;
  readonly #isBeyondLimit: (request: IncomingMessage) => boolean;
  readonly #leaveAlone: (socket: Duplex) => void;
  #draining: Promise<void> | undefined;

  constructor(options: { config: Config; components: ServerComponents; log: Logger }) {
    const { config, components, log } = options;
    this.#config = config;
    this.#components = components;
    this.#log = log;
    const { app, webSockets } = createTransports({ ...options, schema, endpoint: ENDPOINT, servesSite: true });
    this.app = app;
    this.#webSockets = webSockets;
    const server = createServer(
      TIMEOUTS,
      oneAtATime((request, response) => void this.#answer(request, response)),
    );
    this.#server = server;
    answerParserErrors(server, (request, response) => this.#boundBody(request, response));
    this.#unused = watchUnusedConnections(server);
    this.#isBeyondLimit = limitConnections(server, readConnectionLimit(), log);
    this.#leaveAlone = closeUnreadAnswers(server, log);
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) =>
      this.#upgrade(request, socket, head),
    );
  }

  /**
   * Opens the port.
   * @returns the URL, as for a browser
   * @throws the system's error, such as EADDRINUSE
   */
  async listen(): Promise<string> {
    return startListening(this.#server, this.#config.port, this.#config.host);
  }

  /** Accepts nothing more, ends subscriptions with a retryable error, and lets waiting requests end within `config.drainMs`. */
  drain(): Promise<void> {
    this.#draining ??= this.#drain();
    return this.#draining;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // The absolute form for proxies, which every server must accept.
    request.url = request.url!.replace(/^https?:\/\/[^/?]+\/?/i, '/');
    this.#boundBody(request, response);
    const problem = findHostProblem(request, this.#config);
    if (this.#isBeyondLimit(request)) {
      response.setHeader('connection', 'close');
      if (!HEALTH_CHECKS.includes(pathOf(request))) {
        request.resume();
        return answerRaw(response, TOO_MANY_CONNECTIONS, { 'retry-after': '1' });
      }
    }
    if (problem) {
      request.resume();
      return answerRaw(response, HOST_ANSWERS[problem]);
    }
    if (request.headers['sec-websocket-key']) return answerRaw(response, UPGRADE_LOST, { upgrade: 'websocket' });
    await answerRequest(this.app, request, response, this.#log);
  }

  /** Call it before any answer: the rest of a refused body needs the same bounds. */
  #boundBody(request: IncomingMessage, response: ServerResponse): void {
    refuseSmallChunks(request, response);
    this.#bodies.watch(request, response);
    closeAfterBody(request);
  }

  #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    if (this.#isBeyondLimit(request)) answerOnSocket(socket, TOO_MANY_CONNECTIONS);
    else if (!asksForWebSocket(request)) continueWithoutUpgrade(this.#server, request, socket, head);
    else if (pathOf(request) === ENDPOINT || findHostProblem(request, this.#config)) {
      this.#leaveAlone(socket);
      this.#webSockets.accept(request, socket, head);
    } else answerOnSocket(socket, NO_SUCH_PATH);
  }

  async #drain(): Promise<void> {
    const closed = this.#server.listening ? once(this.#server, 'close') : Promise.resolve();
    this.#server.close();
    this.#components.drain();
    const socketsClosed = this.#webSockets.drain();
    this.#closeIdle();
    // Connections become idle one by one while their requests end.
    const sweep = setInterval(() => this.#closeIdle(), 50);
    const forced = setTimeout(() => this.#server.closeAllConnections(), this.#config.drainMs + SEND_GRACE_MS);
    await Promise.all([closed, socketsClosed]);
    clearInterval(sweep);
    clearTimeout(forced);
  }

  #closeIdle(): void {
    this.#server.closeIdleConnections();
    this.#unused.close();
  }
}
