/** The HTTP application: Yoga with all plugins, in the order in which they must run. */
import { setMaxListeners } from 'node:events';
import type { GraphQLSchema } from 'graphql';
import { createYoga, type Plugin } from 'graphql-yoga';
import type { Logger } from 'pino';
import type { Access } from '../access/access.ts';
import type { Principal } from '../access/principal.ts';
import type { Config } from '../config.ts';
import type { PredictionView } from '../predictions/predictions.ts';
import type { Services } from '../resolver-services.ts';
import type { ServerContext } from '../schema/context.ts';
import type { FileStores } from '../uploads/memory-or-disk-store.ts';
import { useUploads } from '../uploads/use-uploads.ts';
import { useDeferDirective } from './operations/defer.ts';
import { createDocumentCache } from './operations/document-cache.ts';
import {
  createMask,
  createResultMask,
  logError,
  usePartialResultStatus,
  useShortMessages,
} from './operations/error-mask.ts';
import { makeLimitPlugins } from './operations/query-limits.ts';
import { corsOptions } from './requests/cors.ts';
import { useCsrfHeader } from './requests/csrf.ts';
import { createHttpAuthentication } from './requests/http-authentication.ts';
import { useRequestBody } from './requests/request-body.ts';
import { useSecurityHeaders } from './responses/security-headers.ts';
import { createServerTiming } from './responses/server-timing.ts';
import { useEventStreams } from './responses/sse.ts';
import { GRAPHIQL_POLICY } from './site/content-security-policies.ts';
import { createGraphiqlPage } from './site/graphiql.ts';
import { useHealth } from './site/health-endpoints.ts';
import { useNotFoundPage } from './site/not-found.ts';
import { useWebPage } from './site/web-page.ts';

/** What the app needs from the server's components. */
export interface AppDependencies {
  config: Config;
  services: Services;
  access: Access;
  isReady(): Promise<boolean>;
  isDraining(): boolean;
  files: FileStores;
  /** Places in Redis that this release cannot read. */
  listUnreadable(): string[];
  log: Logger;
  schema: GraphQLSchema;
  /** Path of the GraphQL API. */
  endpoint: string;
  /** Run after the others. @default none */
  plugins?: Plugin[] | undefined;
  /** Health checks and the web page, which a host application provides itself; its requests are its own, too. @default true */
  servesSite?: boolean;
}

export type App = ReturnType<typeof createApp>;

/** The whole HTTP side, as a listener for node:http and as `fetch`; WebSockets are added by attachWebSockets. */
export function createApp(dependencies: AppDependencies) {
  const { config, services, access, isReady, isDraining, listUnreadable, files, log } = dependencies;
  const authentication = createHttpAuthentication(access.authenticator, config);
  const documentCache = createDocumentCache();
  const serverTiming = createServerTiming();
  return createYoga<object, ServerContext>({
    schema: dependencies.schema,
    graphqlEndpoint: dependencies.endpoint,
    landingPage: false,
    multipart: false,
    batching: false,
    maxRequestBodySize: false,
    parserAndValidationCache: documentCache,
    logging: {
      debug: (...args) => log.trace(args.map(String).join(' ')),
      info: (...args) => log.debug(args.map(String).join(' ')),
      warn: (...args) => log.warn(args.map(String).join(' ')),
      error: (error) => logError(log, error),
    },
    maskedErrors: { maskError: createMask(config) },
    cors: config.corsOrigins.length === 0 ? false : corsOptions(config.corsOrigins),
    graphiql: config.graphiql,
    renderGraphiQL: createGraphiqlPage(config.webDir),
    context: ({ request }) => ({
      ...makeContext(services, authentication.callerOf(request), request.signal),
      onSubmitted: (view: PredictionView) => serverTiming.onSubmitted(request, view),
    }),
    plugins: [
      ...(dependencies.servesSite === false
        ? []
        : [useHealth(isReady, listUnreadable), useWebPage(config.webDir, log)]),
      authentication.plugin,
      useCsrfHeader(),
      useUploads(config, files),
      useRequestBody(config, files.memory),
      useDeferDirective(createResultMask(config, log)),
      ...makeLimitPlugins(config),
      documentCache.plugin,
      usePartialResultStatus(),
      serverTiming.plugin,
      useShortMessages(),
      ...(dependencies.servesSite === false ? [] : [useNotFoundPage()]),
      useGraphiqlPolicy(),
      useSecurityHeaders(isDraining),
      ...(dependencies.plugins ?? []),
      useEventStreams(config, log, { ownsRequests: dependencies.servesSite !== false }),
    ],
  });
}

/** The context of resolvers, on every transport. */
export function makeContext(services: Services, caller: Principal, signal: AbortSignal | undefined): ServerContext {
  // Every image of a request listens to it, and Node reports more than ten listeners as a leak.
  if (signal instanceof AbortSignal) setMaxListeners(0, signal);
  return { caller, services, signal };
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
