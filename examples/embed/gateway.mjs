/** A federated gateway over InferQL's subgraph and a second one, from npm packages alone. */
import { createServer } from 'node:http';
import { createGatewayRuntime } from '@graphql-hive/gateway-runtime';
import { composeServices } from '@theguild/federation-composition';
import { parse } from 'graphql';
import { createSchema, createYoga } from 'graphql-yoga';

const ALBUMS = `
  type Query { album(predictions: [ID!]!): Album! }
  type Album { title: String!  predictions: [Prediction]! }
  type Prediction @key(fields: "id", resolvable: false) { id: ID! }
`;

/** The second subgraph: albums refer to predictions by their ids. */
const albums = createYoga({
  graphqlEndpoint: '/albums',
  schema: createSchema({
    typeDefs: `directive @key(fields: String!, resolvable: Boolean) on OBJECT ${ALBUMS}`,
    resolvers: {
      Query: {
        album: (_root, { predictions }) => ({ title: 'Holiday', predictions: predictions.map((id) => ({ id })) }),
      },
    },
  }),
});

/** @param {string} inferqlUrl the endpoint of subgraph.ts */
export function createHost({ inferqlUrl }) {
  async function compose() {
    const { address, port } = server.address();
    const { supergraphSdl, errors } = composeServices([
      { name: 'inferql', url: inferqlUrl, typeDefs: parse(await readSdl(inferqlUrl)) },
      {
        name: 'albums',
        url: `http://${address}:${port}/albums`,
        typeDefs: parse(
          `extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key"]) ${ALBUMS}`,
        ),
      },
    ]);
    if (errors) throw new Error(errors.map(({ message }) => message).join('\n'));
    return supergraphSdl;
  }

  const gateway = createGatewayRuntime({
    graphqlEndpoint: '/api/graphql',
    supergraph: compose,
    multipart: true,
    logging: false,
    propagateHeaders: {
      fromClientToSubgraphs: ({ request }) => ({
        // InferQL takes mutations only with this header.
        'x-graphql-yoga-csrf': '1',
        // What `authenticate` reads.
        'x-tenant': request.headers.get('x-tenant') ?? 'public',
      }),
    },
  });

  const server = createServer((request, response) =>
    request.url.startsWith('/albums') ? albums(request, response) : gateway(request, response),
  );
  return { server, stop: () => gateway[Symbol.asyncDispose]() };
}

async function readSdl(url) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-graphql-yoga-csrf': '1' },
    body: JSON.stringify({ query: '{ _service { sdl } }' }),
  });
  return (await response.json()).data._service.sdl;
}
