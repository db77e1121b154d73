/** Turns the schema into an Apollo Federation v2 subgraph. */
import { InferqlError } from '@inferql/queue/error-codes';
import {
  type ConstDirectiveNode,
  extendSchema,
  type GraphQLSchema,
  type GraphQLUnionType,
  Kind,
  parse,
  print,
  printSchema,
  visit,
} from 'graphql';
import { guardField } from '../access/authorize.ts';
import type { ServerContext } from '../schema/context.ts';
import { type PredictionNode, viewPrediction } from '../schema/prediction-node.ts';

/** A gateway asks for the entities of a whole list at once. Each is a read of Redis, and may have many labels. */
const MAX_REPRESENTATIONS = 100;

const LINK = 'extend schema @link(url: "https://specs.apollo.dev/federation/v2.3", import: ["@key"])';

/** `@key(fields: "id")` */
const KEY: ConstDirectiveNode = {
  kind: Kind.DIRECTIVE,
  name: { kind: Kind.NAME, value: 'key' },
  arguments: [
    {
      kind: Kind.ARGUMENT,
      name: { kind: Kind.NAME, value: 'fields' },
      value: { kind: Kind.STRING, value: 'id' },
    },
  ],
};

const ADDED = parse(`
  scalar _Any
  union _Entity = Prediction
  type _Service { sdl: String! }
  extend type Query {
    _service: _Service!
    _entities(representations: [_Any!]!): [_Entity]!
  }
`);

/**
 * Makes a schema an Apollo Federation v2 subgraph, in which `Prediction` is an entity with the key `id`. `_entities` needs the scope
 * `read` and finds the caller's own predictions only; `_service` shows the whole schema, and needs `operate` as introspection does.
 * @param schema InferQL's schema, as it is or extended
 * @returns another schema with the root fields that a gateway uses
 * @example
 * const schema = toSubgraph(mergeSchemas({ schemas: [inferql.schema], typeDefs, resolvers }));
 */
export function toSubgraph(schema: GraphQLSchema): GraphQLSchema {
  const subgraph = extendSchema(schema, ADDED);
  const { _service: service, _entities: entities } = subgraph.getQueryType()!.getFields();
  const sdl = printSubgraph(schema);
  service!.extensions = { scope: 'operate' };
  service!.resolve = () => ({ sdl });
  entities!.extensions = { scope: 'read' };
  entities!.resolve = (_root, { representations }: { representations: unknown[] }, context: ServerContext) =>
    resolveEntities(representations, context);
  for (const field of [service, entities]) guardField(field!);
  (subgraph.getType('_Entity') as GraphQLUnionType).resolveType = () => 'Prediction';
  return subgraph;
}

/** Answers in the order of the representations. A malformed one is an error in its place; the others are still answered. */
async function resolveEntities(
  representations: unknown[],
  { caller, services }: ServerContext,
): Promise<(PredictionNode | InferqlError | null)[]> {
  if (representations.length > MAX_REPRESENTATIONS) {
    const message = `At most ${MAX_REPRESENTATIONS} representations are resolved per request. Make the gateway's batches smaller.`;
    throw new InferqlError('INVALID_INPUT', { message });
  }
  return Promise.all(
    representations.map(async (representation) => {
      const id = readKey(representation);
      if (id !== undefined) return viewPrediction(await services.readPrediction(caller, id));
      return new InferqlError('INVALID_INPUT', {
        message: "Expected a representation { __typename: 'Prediction', id: String }.",
      });
    }),
  );
}

function readKey(representation: unknown): string | undefined {
  if (typeof representation !== 'object' || representation === null) return undefined;
  const { __typename: type, id } = representation as { __typename?: unknown; id?: unknown };
  return type === 'Prediction' && typeof id === 'string' ? id : undefined;
}

/** The schema as a gateway composes it, without executable directives: the gateway has these for its clients itself. */
function printSubgraph(schema: GraphQLSchema): string {
  const document = visit(parse(printSchema(schema)), {
    [Kind.DIRECTIVE_DEFINITION]: { enter: () => null },
    [Kind.OBJECT_TYPE_DEFINITION]: {
      enter: (node) =>
        node.name.value === 'Prediction' ? { ...node, directives: [...(node.directives ?? []), KEY] } : false,
    },
  });
  return `${LINK}\n\n${print(document)}\n`;
}
