import { readFileSync } from 'node:fs';
import { getStitchedSchemaFromSupergraphSdl } from '@graphql-tools/federation';
import { composeServices } from '@theguild/federation-composition';
import {
  buildSchema,
  type ExecutionResult,
  extendSchema,
  type GraphQLObjectType,
  graphql,
  parse,
  print,
} from 'graphql';
import { createYoga } from 'graphql-yoga';
import { describe, expect, test } from 'vitest';
import { type Answer, jsonRequest, readAnswer, uploadRequest } from '../test/requests.ts';
import { atEnd, CLASSIFY, paint, startWorker, testRedis } from '../test/server-harness.ts';
import { createInferQL } from './create-inferql.ts';
import type { InferQLOptions } from './types.ts';

const ENTITIES = `query ($representations: [_Any!]!) {
  _entities(representations: $representations) { __typename ... on Prediction { id status } }
}`;

interface Entities {
  _entities: ({ __typename: string; id: string; status: string } | null)[];
}

let prefixes = 0;

/** A subgraph whose callers are named by the header `x-tenant`, with the scopes of `x-scopes`. */
async function startSubgraph(options: InferQLOptions = {}) {
  const prefix = `subgraph${++prefixes}`;
  const inferql = createInferQL({
    redisUrl: testRedis().url,
    prefix,
    federation: true,
    authenticate: ({ header }) => ({
      tenant: header('x-tenant') ?? 'nobody',
      ...(header('x-scopes') ? { scopes: [header('x-scopes') as 'read'] } : {}),
    }),
    ...options,
  });
  atEnd(() => inferql.stop());
  await startWorker(prefix);
  const send = async <T>(init: RequestInit): Promise<Answer<T>> =>
    readAnswer<T>(await inferql.fetch(new Request('http://app.test/graphql', init)));
  const query = <T>(text: string, variables: object = {}, headers: Record<string, string> = {}) =>
    send<T>(jsonRequest(text, variables, headers));
  return {
    inferql,
    query,
    findEntities: (representations: unknown[], headers: Record<string, string> = {}) =>
      query<Entities>(ENTITIES, { representations }, headers),
    async classify(red: number, tenant: string) {
      const init = uploadRequest(CLASSIFY, [await paint(red)], {}, { 'x-tenant': tenant });
      return (await send<{ classifyImage: { id: string } }>(init)).data.classifyImage.id;
    },
    async readSdl() {
      return (await query<{ _service: { sdl: string } }>('{ _service { sdl } }')).data._service.sdl;
    },
  };
}

const represent = (id: unknown) => ({ __typename: 'Prediction', id });

/** Another team's subgraph: albums that refer to predictions, and a field that it adds to each of them. */
const ALBUMS = `
  type Query { album(ids: [ID!]!): Album! }
  type Album { title: String!  predictions: [Prediction]! }
  type Prediction { id: ID!  review: String! }
`;

function createAlbums() {
  const schema = buildSchema(`${ALBUMS}
    scalar _Any
    union _Entity = Prediction
    extend type Query { _entities(representations: [_Any!]!): [_Entity]! }
  `);
  const prediction = ({ id }: { id: string }) => ({ __typename: 'Prediction', id, review: `checked ${id.length}` });
  const rootValue = {
    album: ({ ids }: { ids: string[] }) => ({ title: 'Holiday', predictions: ids.map((id) => prediction({ id })) }),
    _entities: ({ representations }: { representations: { id: string }[] }) => representations.map(prediction),
  };
  return {
    sdl: `extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key"])
      ${ALBUMS.replace('type Prediction', 'type Prediction @key(fields: "id")')}`,
    execute: (source: string, variableValues: Record<string, unknown>) =>
      graphql({ schema, source, rootValue, variableValues }),
  };
}

/** A gateway over both, which passes its caller's name on. */
async function startGateway(subgraph: Awaited<ReturnType<typeof startSubgraph>>) {
  const albums = createAlbums();
  const { supergraphSdl, errors } = composeServices([
    { name: 'inferql', typeDefs: parse(await subgraph.readSdl()), url: 'http://app.test/graphql' },
    { name: 'albums', typeDefs: parse(albums.sdl), url: 'http://albums.test/graphql' },
  ]);
  expect(errors).toBeUndefined();
  const sent: string[] = [];
  const schema = getStitchedSchemaFromSupergraphSdl({
    supergraphSdl: supergraphSdl!,
    onSubschemaConfig(config) {
      config.executor = async ({ document, variables = {}, context }) => {
        const source = print(document);
        sent.push(`${config.name.toLowerCase()}: ${source.replace(/\s+/g, ' ')}`);
        if (config.name.toLowerCase() !== 'inferql') return albums.execute(source, variables) as never;
        const { data, errors } = await subgraph.query(source, variables, { 'x-tenant': context!.tenant });
        return { data, errors } as never;
      };
    },
  });
  return {
    sent,
    query: (source: string, variableValues: Record<string, unknown>, tenant: string): Promise<ExecutionResult> =>
      graphql({ schema, source, variableValues, contextValue: { tenant } }),
  };
}

test('a gateway composes it with another subgraph and answers one query from both', async () => {
  const subgraph = await startSubgraph();
  const gateway = await startGateway(subgraph);
  const ids = [await subgraph.classify(30, 'alice'), await subgraph.classify(60, 'alice')];

  const album = await gateway.query(
    'query ($ids: [ID!]!) { album(ids: $ids) { title predictions { review status result { labels(topK: 1) { name } } } } }',
    { ids },
    'alice',
  );
  expect(album.errors).toBeUndefined();
  const describeOne = (red: number) => ({
    review: `checked ${ids[0]!.length}`,
    status: 'SUCCEEDED',
    result: { labels: [{ name: `red ${red}` }] },
  });
  expect(album.data).toEqual({ album: { title: 'Holiday', predictions: [describeOne(30), describeOne(60)] } });
  expect(gateway.sent.filter((line) => line.startsWith('inferql:'))).toEqual([expect.stringContaining('_entities')]);

  const other = await gateway.query(
    'query ($id: ID!) { prediction(id: $id) { status review } }',
    { id: ids[0] },
    'alice',
  );
  expect(other).toEqual({ data: { prediction: { status: 'SUCCEEDED', review: `checked ${ids[0]!.length}` } } });
});

test("a caller of the gateway does not get another tenant's prediction", async () => {
  const subgraph = await startSubgraph();
  const gateway = await startGateway(subgraph);
  const id = await subgraph.classify(30, 'alice');
  const text = 'query ($ids: [ID!]!) { album(ids: $ids) { predictions { id cached } } }';
  expect((await gateway.query(text, { ids: [id] }, 'alice')).data).toEqual({
    album: { predictions: [{ id, cached: false }] },
  });
  const foreign = await gateway.query(text, { ids: [id] }, 'bob');
  expect(foreign.data).toEqual({ album: { predictions: [null] } });
  expect(foreign.errors).toMatchObject([{ path: ['album', 'predictions', 0, 'cached'] }]);
});

describe('_entities', () => {
  test("are answered in order, and null if unknown or another tenant's", async () => {
    const { classify, findEntities } = await startSubgraph();
    const mine = await classify(10, 'alice');
    const theirs = await classify(20, 'bob');
    const asked = [represent('tiny.nothing'), represent(mine), represent(theirs), represent(mine)];
    const { data, errors } = await findEntities(asked, { 'x-tenant': 'alice' });
    expect(errors).toBeUndefined();
    const found = { __typename: 'Prediction', id: mine, status: 'SUCCEEDED' };
    expect(data._entities).toEqual([null, found, null, found]);
  });

  test.each([
    ['Prediction'],
    [[]],
    [{ id: 'x' }],
    [{ __typename: 'Query', id: 'x' }],
    [represent(7)],
    [represent({ $ne: '' })],
    [{ __typename: 'Prediction' }],
  ])('%j is an error at its position, and the others are answered', async (wrong) => {
    const { classify, findEntities } = await startSubgraph();
    const id = await classify(10, 'alice');
    const { data, errors } = await findEntities([wrong, represent(id)], { 'x-tenant': 'alice' });
    expect(errors).toMatchObject([{ path: ['_entities', 0], extensions: { code: 'INVALID_INPUT' } }]);
    expect(data._entities).toMatchObject([null, { id }]);
  });

  test('are limited to 100 at once', async () => {
    const { findEntities } = await startSubgraph();
    const many = (count: number) => Array.from({ length: count }, (_, i) => represent(`tiny.${i}`));
    expect((await findEntities(many(100))).data._entities).toHaveLength(100);
    const refused = await findEntities(many(101));
    expect(refused.errors).toMatchObject([{ extensions: { code: 'INVALID_INPUT' } }]);
    expect(refused.data).toBeNull();
  });
});

describe('scopes', () => {
  test.each([
    ['read', '_entities', ENTITIES, 200],
    ['infer', '_entities', ENTITIES, 403],
    ['operate', '_service', '{ _service { sdl } }', 200],
    ['read', '_service', '{ _service { sdl } }', 403],
  ])("the scope '%s' for %s", async (scope, _field, text, status) => {
    const { query } = await startSubgraph();
    const answer = await query(text, { representations: [] }, { 'x-scopes': scope });
    expect(answer.status).toBe(status);
    if (status === 403) expect(answer.errors).toMatchObject([{ extensions: { code: 'FORBIDDEN' } }]);
  });

  test('apply if another server runs the schema', async () => {
    const { inferql } = await startSubgraph();
    const yoga = createYoga({
      schema: inferql.schema,
      logging: false,
      context: ({ request }) => inferql.createContext(request),
    });
    const ask = async (scope: string) =>
      readAnswer<Entities>(
        await yoga.fetch(
          'http://app.test/graphql',
          jsonRequest(ENTITIES, { representations: [] }, { 'x-scopes': scope }),
        ),
      );
    expect((await ask('read')).data).toEqual({ _entities: [] });
    expect(await ask('infer')).toMatchObject({ data: null, errors: [{ path: ['_entities'] }] });
  });
});

test('its SDL has what the host added, and nothing of federation except the key', async () => {
  const { readSdl } = await startSubgraph({
    extendSchema: (schema) => extendSchema(schema, parse('extend type Query { hello: String }')),
  });
  const sdl = await readSdl();
  expect(sdl).toContain('hello: String');
  expect(sdl).toContain('type Prediction @key(fields: "id") {');
  expect(sdl).not.toMatch(/_entities|_service|_Any|directive @/);
});

test('its SDL is available to a gateway if introspection is off', async () => {
  const { query, readSdl } = await startSubgraph({ introspection: false });
  expect((await query('{ __schema { description } }')).errors).toBeDefined();
  expect(await readSdl()).toContain('type Prediction @key');
});

test('without the option there is nothing of federation', async () => {
  const { query } = await startSubgraph({ federation: false });
  expect((await query('{ _service { sdl } }')).errors).toMatchObject([
    { message: expect.stringContaining('_service') },
  ]);
});

test('composes with a subgraph that only refers to predictions, as docs/embed.md shows', async () => {
  const manual = readFileSync(new URL('../../docs/embed.md', import.meta.url), 'utf8');
  const example = /```graphql\n# Your subgraph\n(.*?)```/s.exec(manual)![1];
  const { readSdl } = await startSubgraph();
  const link = 'extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key"])';
  const { errors, publicSdl } = composeServices([
    { name: 'inferql', typeDefs: parse(await readSdl()) },
    { name: 'albums', typeDefs: parse(`${link} type Query { album: Album } ${example}`) },
  ]);
  expect(errors).toBeUndefined();
  const prediction = buildSchema(publicSdl!).getType('Prediction') as GraphQLObjectType;
  expect(Object.keys(prediction.getFields())).toEqual(expect.arrayContaining(['id', 'status', 'result']));
});
