/** InferQL as an Apollo Federation subgraph on node:http, for a gateway such as the one in gateway.mjs. */
import { createServer } from 'node:http';
import { createInferQL, type InferQLOptions } from '@inferql/server';

export function createHost(options: InferQLOptions) {
  const inferql = createInferQL({
    ...options,
    endpoint: '/api/graphql',
    federation: true,
    // The gateway passes the header on: see gateway.mjs.
    authenticate: ({ header }) => ({ tenant: header('x-tenant') ?? 'public' }),
  });
  const server = createServer((request, response) => void inferql.node(request, response));
  // Only for a gateway that subscribes over WebSockets.
  inferql.attachWebSockets(server);
  return { server, inferql };
}
