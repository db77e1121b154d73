/** Models that give more than labels, from their folder to GraphQL, the client and the commands. */
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createClient, readValues } from '@inferql/client';
import { encodeTwoHeads, TWO_HEADS_LABELS, TWO_HEADS_SPEC } from '@inferql/converter/golden/onnx-file.fixture';
import { makePng } from '@inferql/testing/data/test-images';
import { run } from '@inferql/testing/system/cli-fixture';
import { send } from '@inferql/testing/system/graphql-client';
import { startSystem, type TestSystem } from '@inferql/testing/system/system';
import { afterAll, beforeAll, expect, test } from 'vitest';

const ENGINE = `export default ({ input }) => ({
  run: ({ images, count }) => ({
    outputs: {
      mean: Array.from({ length: count }, (_, i) => {
        const bytes = input.width * input.height;
        return [images.subarray(i * bytes, (i + 1) * bytes).reduce((sum, value) => sum + value, 0) / bytes];
      }),
    },
    extra: Array.from({ length: count }, () => ({ by: 'hand' })),
  }),
});`;
const ENGINE_SPEC = `{
  engine: './engine.js',
  input: { width: 4, height: 4, channels: 1 },
  outputs: { mean: { type: 'embedding', size: 1 } },
}`;

let folder: string;
let system: TestSystem;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'inferql-outputs-'));
  const write = async (model: string, files: Record<string, string | Uint8Array>) => {
    await mkdir(join(folder, 'models', model), { recursive: true });
    for (const [name, content] of Object.entries(files)) await writeFile(join(folder, 'models', model, name), content);
  };
  await write('heads', {
    'model.json5': JSON.stringify(TWO_HEADS_SPEC),
    'model.onnx': encodeTwoHeads(),
    'labels.json': JSON.stringify(TWO_HEADS_LABELS),
  });
  await write('vectors', { 'model.json5': ENGINE_SPEC, 'engine.js': ENGINE, 'package.json': '{ "type": "module" }' });
  system = await startSystem({ models: [], env: { INFERQL_MODELS_DIR: join(folder, 'models') } });
}, 300_000);

afterAll(async () => {
  await system?.end();
  await rm(folder, { recursive: true, force: true });
});

const IMAGE = makePng(8, 8, [200, 30, 90]);
const LABELS = 'labels { name score }';
const HEAD = `__typename ... on Head { name task threshold ${LABELS} all: labels(threshold: 0, topK: 3) { name score } }`;
const REFUSAL = '... on OutputUnavailableError { code message available }';
const RESULT = `${LABELS}
  heads { name } head(name: "color") { ${HEAD} }
  embeddings { name } embedding { ... on Embedding { name size values base64 } ${REFUSAL} }
  tensors { name } tensor(name: "grid") { ... on Tensor { name dtype shape base64 } ${REFUSAL} }`;

interface Answer {
  classifyImage: { id: string; status: string; cached: boolean; result: Record<string, never> };
}

async function classify(model: string, result: string, image = IMAGE) {
  const query = `mutation ($image: Upload!, $model: String) {
    classifyImage(image: $image, model: $model) { ... on Prediction { id status cached result { ${result} } } }
  }`;
  const { data, errors } = await send<Answer>(system.url, {
    query,
    variables: { image: null, model },
    files: { image },
  });
  expect(errors).toBeUndefined();
  expect(data!.classifyImage.status).toBe('SUCCEEDED');
  return data!.classifyImage;
}

test('a model with two heads, an embedding and a tensor gives all of them, and so does the cache', async () => {
  const { result, cached } = await classify('heads', RESULT);
  expect(cached).toBe(false);
  expect(result).toMatchObject({
    heads: [{ name: 'color' }],
    head: { __typename: 'Head', name: 'color', task: 'MULTI_LABEL', threshold: 0.5 },
    embeddings: [{ name: 'vector' }],
    embedding: { name: 'vector', size: 8 },
    tensors: [{ name: 'grid' }],
    tensor: { name: 'grid', dtype: 'INT32', shape: [8, 8, 8] },
  });
  const { labels, head, embedding, tensor } = result as unknown as {
    labels: { name: string; score: number }[];
    head: { labels: { score: number }[]; all: { score: number }[] };
    embedding: { values: number[]; base64: string };
    tensor: { base64: string };
  };
  expect(labels).toHaveLength(4);
  expect(labels.reduce((sum, { score }) => sum + score, 0)).toBeCloseTo(1, 5);
  expect(head.all).toHaveLength(3);
  expect(head.labels).toEqual(head.all.filter(({ score }) => score >= 0.5));
  const bytes = Buffer.from(embedding.base64, 'base64');
  expect(bytes).toHaveLength(32);
  expect(embedding.values.map(Math.fround)).toEqual(Array.from({ length: 8 }, (_, at) => bytes.readFloatLE(at * 4)));
  // The features are the means of the grid over the image.
  const grid = Buffer.from(tensor.base64, 'base64');
  const sum = Array.from({ length: 64 }, (_, at) => grid.readInt32LE(at * 4)).reduce((a, b) => a + b);
  expect(Math.abs(embedding.values[0]! - sum / 6_400)).toBeLessThan(0.01);

  const again = await classify('heads', RESULT);
  expect(again).toMatchObject({ cached: true, result });
});

test('a result stays the same for every later reader', async () => {
  const { id, result } = await classify('heads', RESULT);
  const { data } = await send<{ prediction: Answer['classifyImage'] }>(system.url, {
    query: `query ($id: ID!) { prediction(id: $id) { result { ${RESULT} } } }`,
    variables: { id },
  });
  expect(data!.prediction.result).toEqual(result);
});

test('a custom engine without labels gives its outputs and extra; a request for others is refused, and the message lists what it has', async () => {
  const { result } = await classify('vectors', `${RESULT} extra named: embedding(name: "none") { ${REFUSAL} }`);
  const message = 'Its outputs besides labels: mean (embedding).';
  expect(result).toEqual({
    labels: [],
    heads: [],
    head: { __typename: 'OutputUnavailableError' },
    embeddings: [{ name: 'mean' }],
    embedding: { name: 'mean', size: 1, values: [expect.any(Number)], base64: expect.any(String) },
    tensors: [],
    tensor: {
      code: 'OUTPUT_UNAVAILABLE',
      message: `This model has no tensor named "grid". ${message}`,
      available: [],
    },
    named: {
      code: 'OUTPUT_UNAVAILABLE',
      message: `This model has no embedding named "none". ${message}`,
      available: ['mean'],
    },
    extra: { by: 'hand' },
  });
});

test('models describe their outputs', async () => {
  const { data } = await send(system.url, {
    query: `{ models { name classCount threshold labels { name }
      outputs { name type classCount task threshold dtype shape labels(offset: 1, limit: 1) { index name } } } }`,
  });
  const none = { classCount: null, task: null, threshold: null, labels: null };
  expect(data).toEqual({
    models: [
      {
        name: 'heads',
        classCount: 4,
        threshold: null,
        labels: TWO_HEADS_LABELS.map((name) => ({ name })),
        outputs: [
          {
            name: 'color',
            type: 'LABELS',
            classCount: 3,
            task: 'MULTI_LABEL',
            threshold: 0.5,
            dtype: 'FLOAT32',
            shape: [3],
            labels: [{ index: 1, name: 'green' }],
          },
          { ...none, name: 'vector', type: 'EMBEDDING', dtype: 'FLOAT32', shape: [8] },
          { ...none, name: 'grid', type: 'TENSOR', dtype: 'INT32', shape: [8, 8, 8] },
        ],
      },
      {
        name: 'vectors',
        classCount: 0,
        threshold: null,
        labels: [],
        outputs: [{ ...none, name: 'mean', type: 'EMBEDDING', dtype: 'FLOAT32', shape: [1] }],
      },
    ],
  });
});

test.each([
  ['head(name: "color") { ... on Head { labels(threshold: 1.5) { name } } }', 'threshold must be between 0 and 1.'],
  ['heads { labels(topK: 0) { name } }', 'topK must be between 1 and 1000.'],
])('an argument out of range is named: %s', async (selection, message) => {
  const { id } = await classify('heads', 'labels { name }');
  const { errors } = await send(system.url, {
    query: `query ($id: ID!) { prediction(id: $id) { result { ${selection} } } }`,
    variables: { id },
  });
  expect(errors).toMatchObject([{ message, extensions: { code: 'INVALID_INPUT' } }]);
});

test('the client gives outputs if they are requested', async () => {
  const client = createClient({ url: system.url });
  const image = new Blob([IMAGE as Uint8Array<ArrayBuffer>]);
  const { result } = await client.classify(image, { model: 'heads', outputs: true });
  expect(result.heads).toMatchObject([{ name: 'color', task: 'MULTI_LABEL', threshold: 0.5 }]);
  expect(readValues(result.embeddings![0]!)).toHaveLength(8);
  expect(readValues(result.tensors![0]!)).toBeInstanceOf(Int32Array);
  expect(result.extra).toBeNull();
  const plain = await client.classify(image, { model: 'heads' });
  expect(Object.keys(plain.result)).toEqual(['labels']);
  const summary = await client.prediction(plain.id, { outputs: 'summary' });
  const { labels: _, heads, ...rest } = summary!.result!;
  expect(heads).toEqual(result.heads);
  expect(rest).toEqual({
    embeddings: [{ name: 'vector', size: 8 }],
    tensors: [{ name: 'grid', dtype: 'INT32', shape: [8, 8, 8] }],
  });
});

test('the command shows heads and embeddings, and a model without labels by its file', async () => {
  const file = join(folder, 'image.png');
  await writeFile(file, IMAGE);
  const args = ['classify', file, '--url', system.url, '-m'];
  const shown = await run([...args, 'heads', '--outputs']);
  expect(shown.out).toMatch(/color:.*\n.*vector: 8 numbers\n.*grid: 8 x 8 x 8 int32/);
  const json = await run([...args, 'vectors', '--outputs', '--json']);
  expect(JSON.parse(json.out)).toMatchObject({
    ok: true,
    labels: [],
    outputs: { embeddings: [{ name: 'mean', size: 1 }], extra: { by: 'hand' } },
  });
  const bare = await run([...args, 'vectors', '--csv']);
  expect(bare.out).toContain(`${file},,,,,\n`);
});

test('the command writes types of heads', async () => {
  const file = join(folder, 'models.d.ts');
  await run(['types', '--url', system.url, '-o', file]);
  const text = await readFile(file, 'utf8');
  expect(text).toMatch(/interface ModelHeads \{\n {4}"heads": \{\n {6}"color":\n {8}\| "red"/);
});
