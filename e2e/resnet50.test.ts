import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { projectDir } from '@inferql/testing/build';
import { collect, openSocket, send, subscribeSse } from '@inferql/testing/system/graphql-client';
import { startSystem, type TestSystem } from '@inferql/testing/system/system';
import { afterAll, beforeAll, expect, test } from 'vitest';

/** Images through server, Redis and the worker with ResNet50, and back. */
const imagesDir = join(projectDir, '..', 'shared', 'images');
const noImages = !existsSync(imagesDir);

let system: TestSystem;

beforeAll(async () => {
  // Each image must be computed, even if another test sent it before.
  system = await startSystem({ models: 'resnet50', env: { INFERQL_CACHE_TTL_MS: '0' } });
}, 300_000);

afterAll(() => system?.end());

interface Label {
  index: number;
  name: string;
  score: number;
}

interface Prediction {
  __typename: string;
  id: string;
  status: string;
  batchSize: number;
  result: { labels: Label[] };
}

const FIELDS = 'id status batchSize result { labels { index name score } }';
const CLASSIFY = `mutation ($image: Upload!) { classifyImage(image: $image) { __typename ... on Prediction { ${FIELDS} } } }`;

async function classify(image: Uint8Array): Promise<Prediction> {
  const { data, errors } = await send<{ classifyImage: Prediction }>(system.url, {
    query: CLASSIFY,
    variables: { image: null },
    files: { image },
  });
  expect(errors).toBeUndefined();
  expect(data!.classifyImage).toMatchObject({ __typename: 'Prediction', status: 'SUCCEEDED' });
  return data!.classifyImage;
}

test.skipIf(noImages)(
  'at least 44 of 50 images get their class, and 48 that of Keras (needs ../shared/images)',
  async () => {
    const [, ...lines] = (await readFile(join(imagesDir, 'reference.csv'), 'utf8')).trim().split('\n');
    const images = lines.map((line) => {
      const [file, index, reference] = line.split(',');
      return { file: file!, index: Number(index), reference: Number(reference) };
    });
    expect(images).toHaveLength(50);
    const answers = await Promise.all(
      images.map(async ({ file, index, reference }) => {
        const { result, batchSize } = await classify(await readFile(join(imagesDir, file)));
        const best = result.labels[0]!.index;
        return { isRight: best === index, isAsReference: best === reference, batchSize };
      }),
    );
    expect(answers.filter(({ isRight }) => isRight).length).toBeGreaterThanOrEqual(44);
    expect(answers.filter(({ isAsReference }) => isAsReference).length).toBeGreaterThanOrEqual(48);
    // They were sent at once, so the worker gathered them.
    expect(Math.max(...answers.map(({ batchSize }) => batchSize))).toBeGreaterThan(1);
  },
);

test.each([
  ['chelsea.png', 1, [281, 282, 285]],
  ['coffee.png', 1, [504, 967, 968]],
  // These weights see the launch tower first (a drilling platform), in tfjs too.
  ['rocket.jpg', 5, [657, 744]],
])('the sample %s gets a label that fits among its first %i', async (file, places, fitting) => {
  const { result } = await classify(await readFile(join(projectDir, 'models', 'samples', file)));
  const first = result.labels.slice(0, places).map(({ index }) => index);
  expect(first.filter((index) => fitting.includes(index))).not.toEqual([]);
  const scores = result.labels.map(({ score }) => score);
  expect(scores).toEqual([...scores].sort((a, b) => b - a));
  expect(result.labels).toHaveLength(5);
});

test('mutation, query, SSE and WebSocket give the same prediction', async () => {
  const image = await readFile(join(projectDir, 'models', 'samples', 'chelsea.png'));
  const { __typename, ...answer } = await classify(image);
  const variables = { id: answer.id };
  const { data } = await send<{ prediction: Prediction }>(system.url, {
    query: `query ($id: ID!) { prediction(id: $id) { ${FIELDS} } }`,
    variables,
  });
  expect(data!.prediction).toEqual(answer);
  const operation = { query: `subscription ($id: ID!) { prediction(id: $id) { ${FIELDS} } }`, variables };
  const socket = openSocket(system.url);
  for (const stream of [subscribeSse(system.url, operation), socket.subscribe(operation)]) {
    const events = await collect(stream);
    expect(events).toEqual([{ data: { prediction: answer } }]);
  }
  await socket.close();
});
