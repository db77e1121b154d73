import { expect, test } from 'vitest';
import { fileFromBytes } from './file-from-bytes.ts';
import { placeUpload, UploadScalar } from './upload-scalar.ts';

const file = fileFromBytes(Uint8Array.of(1));
const read = () =>
  JSON.parse(
    '{"query":"m","operationName":null,"variables":{"image":null,"images":[null,"text"],"input":{"upload":null}}}',
  );

test.each(['variables.image', 'variables.images.0', 'variables.input.upload'])('%s takes a file, once', (path) => {
  const operations = read();
  expect(placeUpload(operations, path, file)).toBe(true);
  const placed = path.split('.').reduce((holder, key) => holder[key], operations);
  expect(UploadScalar.parseValue(placed)).toBe(file);
  expect(placeUpload(operations, path, file)).toBe(false);
});

test.each([
  'operationName',
  'variables',
  'variables.images',
  'variables.images.1',
  'variables.images.2',
  'variables.images.length',
  'variables.image.content',
  'variables.constructor.prototype',
  'variables.__proto__',
  'variables.__proto__.__proto__',
  '',
])('%j takes none', (path) => {
  const operations = read();
  expect(placeUpload(operations, path, file)).toBe(false);
  expect(operations).toEqual(read());
});
