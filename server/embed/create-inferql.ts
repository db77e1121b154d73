/** The library's entry point: a server inside a host application. */
import type { IncomingMessage, Server } from 'node:http';
import type { Duplex } from 'node:stream';
import type { GraphQLSchema } from 'graphql';
import { openAddedFields } from '../access/authorize.ts';
import { ANONYMOUS } from '../access/principal.ts';
import { answerRequest } from '../http/answer-request.ts';
import { makeContext } from '../http/app.ts';
import { asksForWebSocket } from '../http/connections/foreign-upgrade.ts';
import { pathOf } from '../http/web-socket/web-socket.ts';
import type { ServerContext } from '../schema/context.ts';
import { schema as ownSchema } from '../schema/schema.ts';
import { checkExtended, resolveOptions } from './options.ts';
import { endWithBody } from './requests-in-progress.ts';
import { LazyServer } from './running-server.ts';
import { toSubgraph } from './subgraph.ts';
import { checkSubmission, followSubmission } from './submission.ts';
import type { InferQL, InferQLOptions, PredictionEvent, SubmitOptions } from './types.ts';

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
  const resolved = resolveOptions(options);
  const schema = makeSchema(options);
  const server = new LazyServer({ ...resolved, options, schema });
  // Hosts pass single methods on, so none uses `this`.
  return {
    schema,
    async fetch(request) {
      const { app, requests } = await server.running();
      const end = requests.begin();
      try {
        return endWithBody(request, await app.fetch(request), end);
      } catch (error) {
        end();
        throw error;
      }
    },
    async node(request, response) {
      const { app, requests } = await server.running();
      restorePath(request);
      if (!response.closed) response.once('close', requests.begin());
      await answerRequest(app, request, response, resolved.log);
    },
    createContext: (request) => createContext(server, request),
    attachWebSockets: (httpServer) => attachWebSockets(server, resolved.endpoint, httpServer),
    submit: (image, submitOptions = {}) => submit(server, image, submitOptions),
    async start() {
      await server.running();
    },
    stop: () => server.stop(),
  };
}

function makeSchema({ extendSchema, federation }: InferQLOptions): GraphQLSchema {
  const extended = extendSchema ? openAddedFields(checkExtended(extendSchema(ownSchema))) : ownSchema;
  return federation ? toSubgraph(extended) : extended;
}

/** Express removes the path at which it mounted this. */
function restorePath(request: IncomingMessage & { originalUrl?: string }): void {
  if (request.originalUrl !== undefined) request.url = request.originalUrl;
}

async function createContext(
  server: LazyServer,
  { headers, signal }: Parameters<InferQL['createContext']>[0],
): Promise<ServerContext> {
  const { components } = await server.running();
  const caller = await components.access.authenticator.authenticate({
    authorization: headers.get('authorization'),
    address: undefined,
    header: (name) => headers.get(name) ?? undefined,
  });
  return makeContext(components.services, caller, signal);
}

function attachWebSockets(server: LazyServer, endpoint: string, httpServer: Server): void {
  httpServer.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    if (pathOf(request) !== endpoint || !asksForWebSocket(request)) return;
    // Opening the server can take seconds. A client that resets its connection meanwhile must not end the host's process.
    socket.on('error', () => socket.destroy());
    server.running().then(
      ({ webSockets }) => {
        if (!socket.destroyed) webSockets.accept(request, socket, head);
      },
      () => socket.destroy(),
    );
  });
}

async function* submit(
  server: LazyServer,
  image: Uint8Array,
  options: SubmitOptions,
): AsyncGenerator<PredictionEvent, void, undefined> {
  checkSubmission(image, options);
  const { components, requests } = await server.running();
  const end = requests.begin();
  try {
    const { authenticator } = components.access;
    const caller = options.caller ? await authenticator.accept(options.caller) : ANONYMOUS;
    yield* followSubmission(components.services, image, caller, options);
  } finally {
    end();
  }
}
