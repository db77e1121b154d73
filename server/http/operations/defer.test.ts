import { InferqlError } from '@inferql/queue/error-codes';
import { createSchema, createYoga } from 'graphql-yoga';
import { pino } from 'pino';
import { expect, test } from 'vitest';
import { useDeferDirective } from './defer.ts';
import { createMask, createResultMask } from './error-mask.ts';

const config = { introspection: true };

function createApp(fail: () => never) {
  const lines: string[] = [];
  const log = pino({ level: 'error' }, { write: (line: string) => void lines.push(line) });
  const schema = createSchema({
    typeDefs: 'directive @defer on INLINE_FRAGMENT\ntype Query { late: String, early: String }',
    resolvers: { Query: { late: fail, early: () => 'here' } },
  });
  const mask = createResultMask(config, log);
  const maskedErrors = { maskError: createMask(config) };
  const app = createYoga({ schema, maskedErrors, logging: false, plugins: [useDeferDirective(mask)] });
  return { app, lines };
}

async function ask(fail: () => never) {
  const { app, lines } = createApp(fail);
  const response = await app.fetch('http://app.test/graphql', {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'multipart/mixed' },
    body: JSON.stringify({ query: '{ early ... @defer { late } }' }),
  });
  const text = await response.text();
  expect(text).toContain('"early":"here"');
  return { text, lines };
}

test('an error of a deferred part has its code', async () => {
  const { text } = await ask(() => {
    throw new InferqlError('UNAVAILABLE', { retryAfterMs: 1_000 });
  });
  expect(text).toContain('"extensions":{"code":"UNAVAILABLE","retryAfterMs":1000}');
});

test('an unexpected error of a deferred part reveals nothing, and is logged', async () => {
  const { text, lines } = await ask(() => {
    throw new Error('redis://user:secret@host');
  });
  expect(text).toContain('"message":"Unexpected error."');
  expect(text).toContain('"code":"INTERNAL_SERVER_ERROR"');
  expect(text).not.toContain('secret');
  expect(lines.join()).toContain('unexpected error');
});
