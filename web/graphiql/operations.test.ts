import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildSchema, Kind, parse, validate } from 'graphql';
import { expect, test } from 'vitest';
import { TABS } from './operations.ts';

const schema = buildSchema(readFileSync(join(import.meta.dirname, '../../schema.graphql'), 'utf8'));

test.each(TABS)('GraphiQL opens with operations that the schema knows: $query', ({ query }) => {
  expect(validate(schema, parse(query))).toEqual([]);
});

test('each tab has a name that says what it does, and a comment', () => {
  const names = TABS.map(({ query }) => {
    expect(query).toMatch(/^(# .+\n)+(query|mutation|subscription) /);
    const operations = parse(query).definitions.filter((definition) => definition.kind === Kind.OPERATION_DEFINITION);
    expect(operations).toHaveLength(1);
    return operations[0]!.name?.value;
  });
  // GraphiQL names a tab after its operation.
  for (const name of names) expect(name).toMatch(/^([A-Z][a-z]+){2,}$/);
  expect(new Set(names).size).toBe(TABS.length);
});
