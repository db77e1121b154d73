/** InferQL's schema merged into the schema of a GraphQL Yoga server. */
import { createServer } from 'node:http';
import { mergeSchemas } from '@graphql-tools/schema';
import { createInferQL, type InferQLOptions, maskError } from '@inferql/server';
import { createYoga } from 'graphql-yoga';

export function createHost(options: InferQLOptions) {
  const inferql = createInferQL(options);

  const yoga = createYoga({
    graphqlEndpoint: '/api/graphql',
    schema: mergeSchemas({
      schemas: [inferql.schema],
      typeDefs: 'type Query { hello: String! }',
      resolvers: { Query: { hello: () => 'Yoga' } },
    }),
    // InferQL's resolvers need its context; yours may have more in it.
    context: ({ request }) => inferql.createContext(request),
    // Otherwise InferQL's errors arrive without their codes.
    maskedErrors: { maskError },
  });

  return { server: createServer(yoga), inferql };
}
