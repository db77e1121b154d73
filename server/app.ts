import { useDeferStream } from '@graphql-yoga/plugin-defer-stream';
import { createYoga, type Plugin } from 'graphql-yoga';
import type { Logger } from 'pino';
import { useBodyLimit } from './body-limit.ts';
import type { Config } from './config.ts';
import type { ServerContext, Services } from './context.ts';
import { useCsrfHeader } from './csrf.ts';
import { maskError, useStatusOfWhole } from './error-mask.ts';
import { createGraphiqlPage, GRAPHIQL_POLICY } from './graphiql.ts';
import { useHealth } from './health.ts';
import { makeLimitPlugins } from './limits.ts';
import { schema } from './schema/index.ts';
import { useSecurityHeaders } from './security-headers.ts';
import { useUploads } from './upload.ts';
import { useWebPage } from './web-page.ts';

/** What the app needs of what lies behind it. */
export interface AppDependencies {
  config: Config;
  services: Services;
  isReady(): Promise<boolean>;
  isDraining(): boolean;
  log: Logger;
}

/** What a transport without an HTTP request tells instead. */
interface TransportContext {
  /** Aborted when the operation ends. */
  signal?: AbortSignal;
}

export type App = ReturnType<typeof createApp>;

/** The whole HTTP side, as a listener for node:http and as `fetch`; WebSockets are added by attachWebSockets. */
export function createApp({ config, services, isReady, isDraining, log }: AppDependencies) {
  return createYoga<TransportContext, ServerContext>({
    schema,
    graphqlEndpoint: '/graphql',
    landingPage: false,
    multipart: false,
    batching: false,
    maxRequestBodySize: false,
    logging: {
      debug: (...args) => log.trace(args.map(String).join(' ')),
      info: (...args) => log.debug(args.map(String).join(' ')),
      warn: (...args) => log.warn(args.map(String).join(' ')),
      error: (error, ...args) => logError(log, error, args),
    },
    maskedErrors: { maskError },
    cors: config.corsOrigins.length === 0 ? false : corsOptions(config.corsOrigins),
    graphiql: config.graphiql,
    renderGraphiQL: createGraphiqlPage(config.webDir),
    context: ({ request, signal }) => ({ caller: { id: 'anonymous' }, services, signal: signal ?? request.signal }),
    plugins: [
      useHealth(isReady),
      useWebPage(config.webDir),
      useCsrfHeader(),
      useUploads(config),
      useBodyLimit(config.maxQueryBytes),
      useDeferDirective(),
      ...makeLimitPlugins(config),
      useStatusOfWhole(),
      useGraphiqlPolicy(),
      useSecurityHeaders(isDraining),
    ],
  });
}

/** The plugin's validation rules; the directive stands in the schema, where it is described. */
function useDeferDirective(): Plugin {
  const { onValidate } = useDeferStream();
  return { onValidate } as Plugin;
}

function useGraphiqlPolicy(): Plugin {
  return {
    onResponse({ request, response }) {
      if (
        request.method === 'GET' &&
        response.headers.get('content-type')?.startsWith('text/html') &&
        !response.headers.has('content-security-policy')
      ) {
        response.headers.set('content-security-policy', GRAPHIQL_POLICY);
      }
    },
  };
}

function corsOptions(origins: string[]) {
  return {
    origin: origins.includes('*') ? '*' : origins,
    credentials: !origins.includes('*'),
    methods: ['GET', 'POST', 'OPTIONS'],
    allowedHeaders: ['content-type', 'accept', 'x-graphql-yoga-csrf'],
    exposedHeaders: ['retry-after'],
    maxAge: 600,
  };
}

/** What a caller is told as 'Unexpected error.' stands in the log whole. */
function logError(log: Logger, error: unknown, args: unknown[]): void {
  const cause = error instanceof Error && 'originalError' in error && error.originalError ? error.originalError : error;
  if (
    cause instanceof Error &&
    'code' in cause &&
    (cause.code === 'QUEUE_FULL' || cause.code === 'UNAVAILABLE' || cause.code === 'NOT_FOUND')
  ) {
    log.debug({ err: cause }, 'refused');
  } else {
    log.error({ err: cause, more: args.length > 0 ? args.map(String) : undefined }, 'unexpected error');
  }
}
