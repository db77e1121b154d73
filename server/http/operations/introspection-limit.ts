/** Limits how much of the schema one introspection query may return. */
import {
  type ASTVisitor,
  type DocumentNode,
  type FieldNode,
  type FragmentDefinitionNode,
  GraphQLError,
  type GraphQLSchema,
  getIntrospectionQuery,
  getNamedType,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isObjectType,
  isUnionType,
  Kind,
  parse,
  type SelectionSetNode,
  type ValidationContext,
} from 'graphql';
import type { Plugin } from 'graphql-yoga';

/** The limit, as a multiple of the query that tools send to read a whole schema. */
const ALLOWED_WHOLE_READINGS = 3;

/** Average length of an introspection list in a schema. */
type ListLengths = Record<string, number>;

/**
 * Limits the size of introspection answers. The limits of cost, depth and aliases apply to this API's fields. Without this
 * one, a few aliases and nested fragments under `__schema` turn 1.3 KB of query into 12 MB of answer.
 */
export function useIntrospectionLimit(schema: GraphQLSchema): Plugin {
  const lengths = measureLists(schema);
  const whole = parse(
    getIntrospectionQuery({
      specifiedByUrl: true,
      directiveIsRepeatable: true,
      schemaDescription: true,
      inputValueDeprecation: true,
      oneOf: true,
    }),
  );
  const maxFields = ALLOWED_WHOLE_READINGS * countFields(whole, lengths);
  const limitRule = (context: ValidationContext): ASTVisitor => ({
    Document(document) {
      const fields = countFields(document, lengths);
      if (fields <= maxFields) return;
      const message = `The introspection would return about ${Math.round(fields)} fields; at most ${Math.round(maxFields)} are allowed. Ask for the schema once, without aliases.`;
      context.reportError(new GraphQLError(message));
    },
  });
  return {
    onValidate({ addValidationRule }) {
      addValidationRule(limitRule);
    },
  } as Plugin;
}

/** Estimates how many fields the introspection in a document returns. Recursive fragments, which another rule refuses, count once. */
export function countFields(document: DocumentNode, lengths: ListLengths): number {
  const fragments = new Map<string, FragmentDefinitionNode>();
  for (const definition of document.definitions) {
    if (definition.kind === Kind.FRAGMENT_DEFINITION) fragments.set(definition.name.value, definition);
  }
  /** Each fragment is walked at most twice, inside and outside introspection, however often it is spread. */
  const counted = new Map<string, number>();

  function countSet({ selections }: SelectionSetNode, isInside: boolean): number {
    return selections.reduce((sum, selection) => {
      switch (selection.kind) {
        case Kind.FIELD:
          return sum + countField(selection, isInside);
        case Kind.INLINE_FRAGMENT:
          return sum + countSet(selection.selectionSet, isInside);
        case Kind.FRAGMENT_SPREAD:
          return sum + countFragment(selection.name.value, isInside);
        default:
          return selection satisfies never;
      }
    }, 0);
  }

  function countField({ name: { value: name }, selectionSet }: FieldNode, isInside: boolean): number {
    const isEntry = name === '__schema' || name === '__type';
    if (!isInside && !isEntry) return 0;
    if (!selectionSet) return 1;
    return 1 + (lengths[name] ?? 1) * countSet(selectionSet, true);
  }

  function countFragment(name: string, isInside: boolean): number {
    const key = `${name} ${isInside}`;
    const known = counted.get(key);
    if (known !== undefined) return known;
    counted.set(key, 0);
    const fragment = fragments.get(name);
    const count = fragment ? countSet(fragment.selectionSet, isInside) : 0;
    counted.set(key, count);
    return count;
  }

  return document.definitions.reduce(
    (sum, definition) =>
      definition.kind === Kind.OPERATION_DEFINITION ? sum + countSet(definition.selectionSet, false) : sum,
    0,
  );
}

function measureLists(schema: GraphQLSchema): ListLengths {
  const types = Object.values(schema.getTypeMap()).map((type) => getNamedType(type));
  const average = (counts: number[]) =>
    Math.max(1, counts.reduce((sum, count) => sum + count, 0) / Math.max(1, counts.length));
  const composite = types.filter((type) => isObjectType(type) || isInterfaceType(type));
  const fields = composite.flatMap((type) => Object.values(type.getFields()));
  return {
    types: types.length,
    directives: schema.getDirectives().length,
    fields: average(composite.map((type) => Object.keys(type.getFields()).length)),
    args: average(fields.map(({ args }) => args.length)),
    interfaces: average(composite.map((type) => type.getInterfaces().length)),
    possibleTypes: average(
      types
        .filter((type) => isUnionType(type) || isInterfaceType(type))
        .map((type) => schema.getPossibleTypes(type).length),
    ),
    enumValues: average(types.filter(isEnumType).map((type) => type.getValues().length)),
    inputFields: average(types.filter(isInputObjectType).map((type) => Object.keys(type.getFields()).length)),
  };
}
