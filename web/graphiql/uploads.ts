import { Kind, type OperationDefinitionNode, parse, type TypeNode } from '@0no-co/graphql.web';

/** What GraphiQL sends as JSON. */
export interface GraphQLParams {
  query: string;
  operationName?: string | null;
  variables?: Record<string, unknown> | null;
}

/** A variable of the operation that is to be filled in. */
export interface OpenVariable {
  name: string;
  type: 'Upload' | 'ID';
  isList: boolean;
}

/**
 * The required variables of type Upload or ID without a value.
 * @returns an empty list for an unreadable document: the server reports what is wrong with it
 */
export function findOpenVariables({ query, operationName, variables }: GraphQLParams): OpenVariable[] {
  const found: OpenVariable[] = [];
  for (const { variable, type, defaultValue } of findOperation(query, operationName)?.variableDefinitions ?? []) {
    if (type.kind !== Kind.NON_NULL_TYPE || defaultValue) continue;
    const name = variable.name.value;
    const { typeName, isList } = unwrapType(type);
    const isMissing = variables?.[name] === undefined || variables[name] === null || variables[name] === '';
    if (isMissing && (typeName === 'Upload' || typeName === 'ID')) found.push({ name, type: typeName, isList });
  }
  return found;
}

function findOperation(query: string, operationName: string | null | undefined): OperationDefinitionNode | undefined {
  try {
    const operations = parse(query).definitions.filter(({ kind }) => kind === Kind.OPERATION_DEFINITION);
    const named = operations.find((node) => (node as OperationDefinitionNode).name?.value === operationName);
    return (named ?? operations[0]) as OperationDefinitionNode | undefined;
  } catch {
    return undefined;
  }
}

function unwrapType(type: TypeNode, isList = false): { typeName: string; isList: boolean } {
  switch (type.kind) {
    case Kind.NAMED_TYPE:
      return { typeName: type.name.value, isList };
    case Kind.LIST_TYPE:
      return unwrapType(type.type, true);
    case Kind.NON_NULL_TYPE:
      return unwrapType(type.type, isList);
    default:
      return type satisfies never;
  }
}

/**
 * The body of the GraphQL multipart request specification: a list takes all files, single variables take one each, in order.
 * @param files at least one
 */
export function buildMultipart(params: GraphQLParams, open: readonly OpenVariable[], files: readonly File[]): FormData {
  const variables: Record<string, unknown> = { ...params.variables };
  const map: Record<string, string[]> = {};
  const parts: File[] = [];
  const attach = (file: File, path: string) => {
    map[parts.length] = [path];
    parts.push(file);
  };
  let next = 0;
  for (const { name, isList } of open) {
    if (isList) {
      variables[name] = files.map(() => null);
      files.forEach((file, index) => {
        attach(file, `variables.${name}.${index}`);
      });
    } else {
      variables[name] = null;
      attach(files[next++ % files.length]!, `variables.${name}`);
    }
  }
  const body = new FormData();
  body.append('operations', JSON.stringify({ ...params, variables }));
  body.append('map', JSON.stringify(map));
  parts.forEach((file, index) => {
    body.append(String(index), file, file.name);
  });
  return body;
}
