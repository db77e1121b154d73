import { expect, test } from 'vitest';
import { separateDataUrls } from './json-data-urls.ts';

const LONG = `data:image/png;base64,${'abc/'.repeat(1_000)}`;

function readBack(json: string) {
  const { rest, restore } = separateDataUrls(Buffer.from(json));
  const value = JSON.parse(rest.toString()) as object;
  restore(value);
  return { value, rest };
}

test('long data URLs leave the text and return to the value', () => {
  const sent = {
    query: 'mutation { x }',
    variables: { source: { dataUrl: LONG }, other: [LONG, 'data:short', 7, null] },
  };
  const { value, rest } = readBack(JSON.stringify(sent));
  expect(value).toEqual(sent);
  expect(rest.length).toBeLessThan(400);
});

test('escaped slashes, as PHP writes them, are read', () => {
  expect(readBack(`{"a":"${LONG.replaceAll('/', '\\/')}"}`).value).toEqual({ a: LONG });
});

test.each([
  ['a data URL inside a document', { query: `{ classify(dataUrl: "${LONG}") }` }],
  ['one that ends with a longer text', { query: `the image is "${LONG}` }],
  ['one with other escapes', { a: `${LONG}"x\\y` }],
  ['one that is a short text', { a: 'data:,x' }],
  ['one that looks like a mark', { a: 'data:00000000-0000-0000-0000-000000000000:0' }],
])('%s stays in the text', (_name, sent) => {
  const json = JSON.stringify(sent);
  const { rest } = separateDataUrls(Buffer.from(json));
  expect(rest.toString()).toBe(json);
});

test('a value of any depth is restored', () => {
  const depth = 20_000;
  const { rest, restore } = separateDataUrls(
    Buffer.from(`{"deep":${'['.repeat(depth)}${']'.repeat(depth)},"a":"${LONG}"}`),
  );
  const value = JSON.parse(rest.toString()) as { a: string };
  restore(value);
  expect(value.a).toBe(LONG);
});

test('text that ends in the middle is left as it is', () => {
  const { rest } = separateDataUrls(Buffer.from(`{"a":"${LONG}`));
  expect(rest.toString()).toBe(`{"a":"${LONG}`);
});

test('a name like a data URL restores nothing else', () => {
  expect(readBack(`{"__proto__":{"${LONG}":1},"a":"${LONG}"}`).value).toHaveProperty('a', LONG);
});
