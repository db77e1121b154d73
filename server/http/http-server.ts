/** The HTTP server: its port, timeouts, upgrades and drain. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Logger } from 'pino';
import type { Config } from '../config.ts';
import { schema } from '../schema/schema.ts';
import type { ServerComponents } from '../server-components.ts';
import { answerRequest } from './answer-request.ts';
import { closeUnreadAnswers } from './connections/answer-watch.ts';
import { createBodyWatch } from './connections/body-watch.ts';
import { refuseSmallChunks } from './connections/chunk-limit.ts';
import { limitConnections, readConnectionLimit } from './connections/connection-limit.ts';
import { asksForWebSocket, continueWithoutUpgrade } from './connections/foreign-upgrade.ts';
import { closeAfterBody } from './connections/lingering-close.ts';
import { answerParserErrors } from './connections/parser-errors.ts';
import { oneAtATime } from './connections/pipelining.ts';
import { answerOnSocket, answerRaw } from './connections/raw-response.ts';
import { watchUnusedConnections } from './connections/unused-connections.ts';
import { startListening } from './listening.ts';
import { findHostProblem } from './requests/host-check.ts';
import { createTransports } from './transports.ts';
import { pathOf } from './web-socket/web-socket.ts';

/** Path of the GraphQL API. */
const ENDPOINT = '/graphql';
/** Longer than load balancers keep idle connections, so that the server never closes one that is about to be used. */
const KEEP_ALIVE_MS = 65_000;
/** The headers of a request must arrive within this time; a body has no total limit, see body-watch.ts. */
const HEADERS_TIMEOUT_MS = 30_000;
/** How often Node looks for headers that are late. */
const HEADERS_CHECK_MS = 2_000;
/** After waits have ended, their answers have this long to be sent. */
const SEND_GRACE_MS = 1_000;

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
const HOST_ANSWERS = {
  malformed: {
    status: 400,
    code: 'BAD_REQUEST',
    message: 'The request names no usable host or path: check the Host header and the URL.',
  },
  foreign: {
    status: 421,
    code: 'BAD_REQUEST',
    message:
      'This server does not answer under the name in the Host header. Name it in INFERQL_ALLOWED_HOSTS; behind a proxy, see also INFERQL_TRUST_PROXY.',
  },
} as const;

/** Creates the server with its port closed; `listen` opens it, `drain` ends it without losing an answer. */
export function createHttpServer(options: { config: Config; components: ServerComponents; log: Logger }) {
  const { config, components, log } = options;
  const { app, webSockets } = createTransports({ ...options, schema, endpoint: ENDPOINT, servesSite: true });
  const bodies = createBodyWatch();
  const timeouts = {
    requestTimeout: 0,
    headersTimeout: HEADERS_TIMEOUT_MS,
    connectionsCheckingInterval: HEADERS_CHECK_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    // Checked here with other mistakes, so that the answer has a message.
    requireHostHeader: false,
  };
  const server = createServer(
    timeouts,
    oneAtATime((request, response) => void answer(request, response)),
  );
  answerParserErrors(server);
  const unused = watchUnusedConnections(server);
  const isBeyondLimit = limitConnections(server, readConnectionLimit(), log);
  const leaveAlone = closeUnreadAnswers(server, log);
  server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    if (isBeyondLimit(request)) return answerOnSocket(socket, TOO_MANY_CONNECTIONS);
    if (!asksForWebSocket(request)) return continueWithoutUpgrade(server, request, socket, head);
    if (pathOf(request) === ENDPOINT || findHostProblem(request, config)) {
      leaveAlone(socket);
      return webSockets.accept(request, socket, head);
    }
    socket.on('error', () => socket.destroy());
    answerOnSocket(socket, NO_SUCH_PATH);
  });

  let draining: Promise<void> | undefined;

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // The absolute form for proxies, which every server must accept.
    request.url = request.url!.replace(/^https?:\/\/[^/?]+\/?/i, '/');
    const problem = findHostProblem(request, config);
    if (isBeyondLimit(request)) {
      response.setHeader('connection', 'close');
      if (!request.url.startsWith('/health/')) {
        closeAfterBody(request);
        request.resume();
        return answerRaw(response, TOO_MANY_CONNECTIONS, { 'retry-after': '1' });
      }
    }
    if (problem) {
      closeAfterBody(request);
      request.resume();
      return answerRaw(response, HOST_ANSWERS[problem]);
    }
    if (request.headers['sec-websocket-key']) return answerRaw(response, UPGRADE_LOST, { upgrade: 'websocket' });
    refuseSmallChunks(request, response);
    bodies.watch(request, response);
    closeAfterBody(request);
    await answerRequest(app, request, response, log);
  }

  return {
    app,

    /**
     * Opens the port.
     * @returns the URL, as for a browser
     * @throws the system's error, such as EADDRINUSE
     */
    async listen(): Promise<string> {
      return startListening(server, config.port, config.host);
    },

    /** Accepts nothing more, ends subscriptions with a retryable error, and lets waiting requests end within `config.drainMs`. */
    drain(): Promise<void> {
      draining ??= drain();
      return draining;
    },
  };

  async function drain(): Promise<void> {
    const closed = server.listening ? once(server, 'close') : Promise.resolve();
    server.close();
    components.drain();
    await webSockets.drain();
    const closeIdle = () => {
      server.closeIdleConnections();
      unused.close();
    };
    closeIdle();
    // Connections become idle one by one while their requests end.
    const sweep = setInterval(closeIdle, 50);
    const forced = setTimeout(() => server.closeAllConnections(), config.drainMs + SEND_GRACE_MS);
    await closed;
    clearInterval(sweep);
    clearTimeout(forced);
  }
}
