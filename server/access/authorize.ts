/** The scopes that root fields require, and the checks of an operation against them. */

import { SCOPES, type Scope } from '@inferql/queue/access/scopes';
import { InferqlError } from '@inferql/queue/error-codes';
import {
  type DocumentNode,
  defaultFieldResolver,
  type GraphQLField,
  type GraphQLFieldResolver,
  type GraphQLSchema,
  getOperationAST,
  Kind,
  type SelectionSetNode,
} from 'graphql';
import type { ServerContext } from '../schema/context.ts';
import type { Principal } from './principal.ts';

declare global {
  namespace PothosSchemaTypes {
    interface FieldOptionExtensions {
      scope?: FieldScope;
    }
  }
}

/** What a root field requires of its caller: a scope, or only to be identified. */
export type FieldScope = Scope | 'any';

/** Reading the schema shows every operation there is. */
const INTROSPECTION_SCOPE: Scope = 'operate';

function readScope(field: Pick<GraphQLField<unknown, unknown>, 'name' | 'extensions'>): FieldScope {
  const { scope } = field.extensions;
  if (scope !== 'any' && !SCOPES.includes(scope as Scope)) {
    throw new TypeError(`The root field ${field.name} has no scope. Set extensions.scope.`);
  }
  return scope as FieldScope;
}

function requireScope(scope: FieldScope, { scopes }: Pick<Principal, 'scopes'>): void {
  if (scope === 'any' || scopes.has(scope)) return;
  throw new InferqlError('FORBIDDEN', {
    message: `This needs the scope '${scope}', which this API key or token does not have.`,
  });
}

/** Opens root fields that a host application added to every caller that it accepted. Further checks are up to the host application. */
export function openAddedFields(schema: GraphQLSchema): GraphQLSchema {
  for (const type of [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()]) {
    for (const field of Object.values(type?.getFields() ?? {})) {
      if (field.extensions.scope === undefined) field.extensions = { ...field.extensions, scope: 'any' };
    }
  }
  return schema;
}

/**
 * Makes every root field check its caller's scope, on every transport.
 * @throws TypeError if a root field has no scope: none is open by mistake
 */
export function guardRootFields(schema: GraphQLSchema): GraphQLSchema {
  for (const type of [schema.getQueryType(), schema.getMutationType(), schema.getSubscriptionType()]) {
    for (const field of Object.values(type?.getFields() ?? {})) guardField(field);
  }
  return schema;
}

/**
 * Makes one root field check its caller's scope.
 * @throws TypeError if it has no scope
 */
export function guardField(field: GraphQLField<unknown, ServerContext>): void {
  const scope = readScope(field);
  const guard =
    (resolve: GraphQLFieldResolver<unknown, ServerContext>): GraphQLFieldResolver<unknown, ServerContext> =>
    (source, args, context, info) => {
      requireScope(scope, context.caller);
      return resolve(source, args, context, info);
    };
  // A subscription is checked when it is opened; its events need no second check.
  if (field.subscribe) field.subscribe = guard(field.subscribe);
  else field.resolve = guard(field.resolve ?? defaultFieldResolver);
}

/**
 * Refuses a whole operation before any of it runs, so that the answer has the status 403 and a mutation is not half done.
 * Directives are ignored: every field in the document must be allowed.
 * @throws InferqlError FORBIDDEN
 */
export function authorizeOperation(
  schema: GraphQLSchema,
  document: DocumentNode,
  operationName: string | null | undefined,
  caller: Pick<Principal, 'scopes'>,
): void {
  const operation = getOperationAST(document, operationName);
  const type = operation && schema.getRootType(operation.operation);
  if (!type) return;
  const fields = type.getFields();
  for (const name of rootFieldNames(document, operation.selectionSet)) {
    const field = fields[name];
    if (field) requireScope(readScope(field), caller);
    else if (name !== '__typename') requireScope(INTROSPECTION_SCOPE, caller);
  }
}

function rootFieldNames(document: DocumentNode, selectionSet: SelectionSetNode): Set<string> {
  const names = new Set<string>();
  const seen = new Set<string>();
  const walk = ({ selections }: SelectionSetNode) => {
    for (const selection of selections) {
      if (selection.kind === Kind.FIELD) names.add(selection.name.value);
      else if (selection.kind === Kind.INLINE_FRAGMENT) walk(selection.selectionSet);
      else if (!seen.has(selection.name.value)) {
        seen.add(selection.name.value);
        for (const definition of document.definitions) {
          if (definition.kind === Kind.FRAGMENT_DEFINITION && definition.name.value === selection.name.value) {
            walk(definition.selectionSet);
          }
        }
      }
    }
  };
  walk(selectionSet);
  return names;
}
