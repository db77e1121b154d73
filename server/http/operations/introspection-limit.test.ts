import { getIntrospectionQuery } from 'graphql';
import { describe, expect, test } from 'vitest';
import { startServer } from '../../test/server-harness.ts';

/** A short query with a large answer: each type with its fields, and the fields of their types, three levels deep. */
const NESTED = `fragment N on __Type { kind name description specifiedByURL isOneOf }
  fragment V on __Type { enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason } }
  fragment E on __Type { ...N ...V ofType { ...N ...V ofType { ...N ...V } } }
  fragment A on __InputValue { name description defaultValue type { ...E } }
  fragment L on __Type { fields(includeDeprecated: true) { name args { ...A } type { ...E } } possibleTypes { ...N } interfaces { ...N } }
  fragment F on __Field { name description args { ...A } type { ...E ...L ofType { ...L ofType { ...L } } } }
  fragment T on __Type { ...E fields { ...F } possibleTypes { ...E ...L } interfaces { ...E ...L } }`;

describe('introspection', () => {
  test.each([
    ['as tools send it', getIntrospectionQuery()],
    [
      'with all that can be requested',
      getIntrospectionQuery({
        specifiedByUrl: true,
        directiveIsRepeatable: true,
        schemaDescription: true,
        inputValueDeprecation: true,
        oneOf: true,
      }),
    ],
    ['of a few types', '{ a: __type(name: "Model") { fields { name } } b: __type(name: "Queue") { fields { name } } }'],
  ])('%s is answered', async (_name, query) => {
    const server = await startServer();
    const { status, errors } = await server.query(query);
    expect([status, errors]).toEqual([200, undefined]);
  });

  test.each([
    [
      'under many aliases',
      `{ __schema { ${Array.from({ length: 29 }, (_, i) => `a${i}: types { ...T }`).join(' ')} } } ${NESTED}`,
    ],
    ['once, but nested', `{ __schema { types { ...T } } } ${NESTED}`],
    ['in a fragment on Query', `{ ...Q } fragment Q on Query { __schema { types { ...T } } } ${NESTED}`],
    [
      'of types, by name',
      `{ ${Array.from({ length: 29 }, (_, i) => `a${i}: __type(name: "Query") { ...T }`).join(' ')} } ${NESTED}`,
    ],
    ['that recurs', '{ __schema { types { ...R } } } fragment R on __Type { fields { type { ...R } } }'],
  ])('%s is refused before it runs', async (_name, query) => {
    const server = await startServer();
    const { data, errors } = await server.query(query);
    expect(data).toBeUndefined();
    expect(JSON.stringify(errors)).toMatch(/introspection would return about|within itself|depth limit/);
  });
});
