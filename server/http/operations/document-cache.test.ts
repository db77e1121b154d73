import { buildSchema, parse } from 'graphql';
import { createYoga } from 'graphql-yoga';
import { expect, test } from 'vitest';
import { createDocumentCache, DOCUMENT_CACHE_BYTES } from './document-cache.ts';

function cached(texts: Iterable<string>) {
  const cache = createDocumentCache();
  let kept = 0;
  for (const text of texts) cache.documentCache.set(text, parse(text));
  for (const text of texts) if (cache.documentCache.get(text)) kept++;
  return { ...cache, kept };
}

test('documents of every shape are kept within a bound in bytes', () => {
  const padding = 'x'.repeat(100_000);
  const comments = Array.from({ length: 400 }, (_, i) => `{ __typename } # ${i}${padding}`);
  const many = cached(comments);
  expect(many.bytes()).toBeLessThanOrEqual(DOCUMENT_CACHE_BYTES);
  expect(many.kept).toBeGreaterThan(10);
  expect(many.kept).toBeLessThan(100);
  const fields = Array.from({ length: 400 }, (_, i) => `{ a${i} ${'b '.repeat(500)} }`);
  const wide = cached(fields);
  expect(wide.bytes()).toBeLessThanOrEqual(DOCUMENT_CACHE_BYTES);
  expect(wide.kept).toBeLessThan(100);
});

test('one document that is larger than its share is not kept, and evicts nothing', () => {
  const { kept } = cached(['{ __typename }', `{ __typename } # ${'x'.repeat(300_000)}`]);
  expect(kept).toBe(1);
});

test('the documents of ordinary clients are kept, including the introspection of tools', async () => {
  const { getIntrospectionQuery } = await import('graphql');
  expect(cached(['{ models { name } }', getIntrospectionQuery()]).kept).toBe(2);
});

test('a document that is not valid is not kept, and so neither are its errors', async () => {
  const cache = createDocumentCache();
  const yoga = createYoga({
    schema: buildSchema('type Query { a: Int }'),
    parserAndValidationCache: cache,
    plugins: [cache.plugin],
    logging: false,
  });
  const ask = async (query: string) => {
    const response = await yoga.fetch(`http://x/graphql?query=${encodeURIComponent(query)}`);
    return (await response.json()) as { errors?: unknown[] };
  };
  for (let turn = 0; turn < 2; turn++) {
    for (let i = 0; i < 20; i++) expect((await ask(`{ x${i} ${'y '.repeat(50)} }`)).errors!.length).toBeGreaterThan(50);
    expect(cache.bytes()).toBe(0);
  }
  expect((await ask('{ a }')).errors).toBeUndefined();
  expect(cache.bytes()).toBeGreaterThan(0);
});
