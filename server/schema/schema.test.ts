import { readFileSync } from 'node:fs';
import { isEnumType, isInputObjectType, isInterfaceType, isObjectType, parse, printSchema, validate } from 'graphql';
import { expect, test } from 'vitest';
import { schema } from './schema.ts';

test('schema.graphql is what the code prints', () => {
  const committed = readFileSync(new URL('../../schema.graphql', import.meta.url), 'utf8');
  expect(`${printSchema(schema)}\n`).toBe(committed);
});

test('the front page of the manual shows a valid operation', () => {
  const [, example] = /```graphql\n(.*?)```/s.exec(schema.description ?? '')!;
  expect(validate(schema, parse(example!))).toEqual([]);
});

test('the README follows the prediction that its first example got, with valid operations', () => {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const mutation = /operations='(\{.*?\})'/.exec(readme)![1]!;
  expect(validate(schema, parse((JSON.parse(mutation) as { query: string }).query))).toEqual([]);
  const id = /"classifyImage":\{"id":"([^"]+)"/.exec(readme)![1]!;
  expect(readme).toContain(`\nID=${id}\n`);
  const subscription = /"query=(subscription .*)"\n/.exec(readme)![1]!;
  expect(validate(schema, parse(subscription.replaceAll('\\"', '"').replace('$ID', id)))).toEqual([]);
});

test('every type, field, argument and value has a description', () => {
  const bare: string[] = [];
  for (const type of Object.values(schema.getTypeMap())) {
    if (type.name.startsWith('__') || ['String', 'Int', 'Float', 'Boolean', 'ID'].includes(type.name)) continue;
    if (!type.description) bare.push(type.name);
    if (isEnumType(type))
      for (const value of type.getValues()) if (!value.description) bare.push(`${type.name}.${value.name}`);
    if (!isObjectType(type) && !isInterfaceType(type) && !isInputObjectType(type)) continue;
    for (const field of Object.values(type.getFields())) {
      if (!field.description) bare.push(`${type.name}.${field.name}`);
      for (const argument of 'args' in field ? field.args : []) {
        if (!argument.description) bare.push(`${type.name}.${field.name}(${argument.name})`);
      }
    }
  }
  expect(bare).toEqual([]);
});
