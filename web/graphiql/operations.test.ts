import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildSchema, parse, validate } from 'graphql';
import { expect, test } from 'vitest';
import { TABS } from './operations.ts';

const schema = buildSchema(readFileSync(join(import.meta.dirname, '../../schema.graphql'), 'utf8'));

test.each(TABS)('GraphiQL opens with operations that the schema knows: $query', ({ query }) => {
  expect(validate(schema, parse(query))).toEqual([]);
});
