import { expect, test } from 'vitest';
import { buildMultipart, findOpenVariables } from './uploads.ts';

const query = `
  mutation One($image: Upload!, $model: String) { classifyImage(image: $image, model: $model) { __typename } }
  mutation Many($images: [Upload!]!) { classifyImages(images: $images) { __typename } }
  query Read($id: ID!) { prediction(id: $id) { id } }
`;

test('the variables of the chosen operation that have no value are found', () => {
  expect(findOpenVariables({ query, operationName: 'One' })).toEqual([
    { name: 'image', type: 'Upload', isList: false },
  ]);
  expect(findOpenVariables({ query, operationName: 'Many', variables: { images: null } })).toEqual([
    { name: 'images', type: 'Upload', isList: true },
  ]);
  expect(findOpenVariables({ query, operationName: 'Read', variables: { id: '' } })).toEqual([
    { name: 'id', type: 'ID', isList: false },
  ]);
  expect(findOpenVariables({ query, operationName: 'Read', variables: { id: 'x' } })).toEqual([]);
});

test.each(['$image: Upload, $url: String', '$images: [Upload!]', '$id: ID', '$id: ID! = "a.1"'])(
  'a variable that may be omitted is not filled in: %s',
  (variables) => {
    expect(findOpenVariables({ query: `query (${variables}) { __typename }` })).toEqual([]);
  },
);

test('a document that cannot be read is left to the server', () => {
  expect(findOpenVariables({ query: 'mutation (' })).toEqual([]);
});

test('a list takes all files, and single variables take one each, in order', async () => {
  const files = ['a.png', 'b.png'].map((name) => new File([name], name));
  const open = [
    { name: 'list', type: 'Upload', isList: true },
    { name: 'first', type: 'Upload', isList: false },
    { name: 'second', type: 'Upload', isList: false },
  ] as const;
  const body = buildMultipart({ query: 'q', variables: { topK: 3 } }, open, files);
  expect(JSON.parse(body.get('operations') as string)).toEqual({
    query: 'q',
    variables: { topK: 3, list: [null, null], first: null, second: null },
  });
  expect(JSON.parse(body.get('map') as string)).toEqual({
    0: ['variables.list.0'],
    1: ['variables.list.1'],
    2: ['variables.first'],
    3: ['variables.second'],
  });
  const sent = await Promise.all([0, 1, 2, 3].map((part) => (body.get(String(part)) as File).text()));
  expect(sent).toEqual(['a.png', 'b.png', 'a.png', 'b.png']);
});
