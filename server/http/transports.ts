/** Creates the HTTP application and the WebSocket server. */
import type { GraphQLSchema } from 'graphql';
import type { Plugin } from 'graphql-yoga';
import type { Logger } from 'pino';
import type { Config } from '../config.ts';
import type { ServerComponents } from '../server-components.ts';
import { createApp, makeContext } from './app.ts';
import { WebSockets } from './web-socket/web-socket.ts';

export interface TransportOptions {
  config: Config;
  components: ServerComponents;
  log: Logger;
  schema: GraphQLSchema;
  /** Path of the GraphQL API. */
  endpoint: string;
  /** Yoga plugins, run after InferQL's. @default none */
  plugins?: Plugin[] | undefined;
  /** Health checks and the web page, which a host application provides itself. */
  servesSite: boolean;
}

/** HTTP with server-sent events, and WebSockets, in front of the same services: for a port as for a host application. */
export function createTransports({ components, ...options }: TransportOptions) {
  const { services, access, files } = components;
  const { config, log } = options;
  const app = createApp({
    ...options,
    services,
    access,
    files,
    isReady: () => components.isReady(),
    isDraining: () => components.isDraining(),
    listUnreadable: () => components.unreadable(),
  });
  const webSockets = new WebSockets({
    app,
    access,
    makeContext: (caller, signal) => makeContext(services, caller, signal),
    config,
    log,
  });
  return { app, webSockets };
}
