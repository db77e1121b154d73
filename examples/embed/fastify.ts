/** InferQL inside a Fastify 5 application. */
import { createInferQL, type InferQLOptions } from '@inferql/server';
import fastify from 'fastify';

export async function createHost(options: InferQLOptions) {
  const inferql = createInferQL({ ...options, endpoint: '/api/graphql' });
  const app = fastify();

  // A scope, so that the other routes keep Fastify's own content type parsers.
  app.register(async (scope) => {
    // InferQL reads its requests itself.
    scope.removeAllContentTypeParsers();
    scope.addContentTypeParser('*', (_request, _payload, done) => done(null));
    scope.all('/api/graphql', async (request, reply) => {
      reply.hijack();
      await inferql.node(request.raw, reply.raw);
    });
  });

  app.get('/hello', async () => ({ hello: 'Fastify' }));
  app.post('/echo', async (request) => request.body);

  await app.ready();
  inferql.attachWebSockets(app.server);
  return { server: app.server, inferql };
}
