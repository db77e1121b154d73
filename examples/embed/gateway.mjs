/** A federated gateway over InferQL's subgraph and a second one, from npm packages alone. */
import { createServer } from 'node:http';
import { createGatewayRuntime, getGraphQLWSOptions } from '@graphql-hive/gateway-runtime';
import { composeServices } from '@theguild/federation-composition';
import { parse } from 'graphql';
import { useServer as serveSockets } from 'graphql-ws/use/ws';
import { createSchema, createYoga } from 'graphql-yoga';
import { WebSocketServer } from 'ws';

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

/**
 * @param {object} options
 * @param {string} options.inferqlUrl the endpoint of subgraph.ts
 * @param {'sse' | 'ws'} [options.subscriptions] how the gateway subscribes at InferQL; clients of the gateway choose for themselves
 */
export function createHost({ inferqlUrl, subscriptions = 'sse' }) {
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
    // Needs @graphql-mesh/transport-ws. One connection per caller: InferQL authenticates connections.
    ...(subscriptions === 'ws' && {
      transportEntries: {
        inferql: {
          options: {
            subscriptions: { kind: 'ws', headers: [['x-tenant', '{context.headers.x-tenant}']] },
          },
        },
      },
    }),
  });

  const server = createServer((request, response) =>
    request.url.startsWith('/albums') ? albums(request, response) : gateway(request, response),
  );
  const sockets = new WebSocketServer({ server, path: '/api/graphql' });
  /** A WebSocket of a browser has no headers: its client names the tenant in `connectionParams`. */
  const onOperation = ({ connectionParams, extra }) => {
    const tenant = connectionParams?.['x-tenant'] ?? extra.request.headers['x-tenant'] ?? 'public';
    const headers = { 'x-tenant': String(tenant) };
    return { headers, request: new Request(inferqlUrl, { headers }) };
  };
  const connections = serveSockets(getGraphQLWSOptions(gateway, onOperation), sockets);

  async function stop() {
    await connections.dispose();
    await gateway[Symbol.asyncDispose]();
  }
  return { server, stop };
}

async function readSdl(url) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-graphql-yoga-csrf': '1' },
    body: JSON.stringify({ query: '{ _service { sdl } }' }),
  });
  return (await response.json()).data._service.sdl;
}
