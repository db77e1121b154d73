/** InferQL inside an Express 5 application. */
import { createServer } from 'node:http';
import { createInferQL, type InferQLOptions } from '@inferql/server';
import express from 'express';

export function createHost(options: InferQLOptions) {
  const inferql = createInferQL({ ...options, endpoint: '/api/graphql' });
  const app = express();

  // Before any body parser: InferQL reads its requests itself.
  app.use('/api/graphql', (request, response) => inferql.node(request, response));

  app.use(express.json());
  app.get('/hello', (_request, response) => void response.json({ hello: 'Express' }));
  app.post('/echo', (request, response) => void response.json(request.body));

  const server = createServer(app);
  inferql.attachWebSockets(server);
  return { server, inferql };
}
