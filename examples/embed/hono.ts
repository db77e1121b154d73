/** InferQL inside a Hono application on Node. */
import type { Server } from 'node:http';
import { createAdaptorServer } from '@hono/node-server';
import { createInferQL, type InferQLOptions } from '@inferql/server';
import { Hono } from 'hono';

export function createHost(options: InferQLOptions) {
  const inferql = createInferQL({ ...options, endpoint: '/api/graphql' });
  const app = new Hono();

  app.all('/api/graphql', (context) => inferql.fetch(context.req.raw));

  app.get('/hello', (context) => context.json({ hello: 'Hono' }));
  app.post('/echo', async (context) => context.json(await context.req.json()));

  // It makes a server of node:http unless it is given another kind.
  const server = createAdaptorServer({ fetch: app.fetch }) as Server;
  inferql.attachWebSockets(server);
  return { server, inferql };
}
