/** Models without workers. */
import { Registry } from '@inferql/queue/models/registry';
import { expect, test } from 'vitest';
import { connect, paint, startServer, startWorker } from './server-harness.ts';

const ASK = `mutation ($image: Upload!, $model: String) {
  classifyImage(image: $image, model: $model) { __typename ... on Prediction { model } ... on Error { code } }
}`;

interface Models {
  models: { name: string; isDefault: boolean }[];
  model: { name: string } | null;
}
interface Answer {
  classifyImage: { __typename: string; model?: string; code?: string };
}

test('a model without a worker beyond its grace period is not offered, never the default, and refuses at once by name', async () => {
  const server = await startServer();
  const ghost = await startWorker(server.prefix, { name: 'ant', queue: { graceMs: 0 } });
  await startWorker(server.prefix, { name: 'zebra' });
  const query = '{ models { name isDefault } model(name: "ant") { name } }';
  expect((await server.query<Models>(query)).data.models).toEqual([
    { name: 'ant', isDefault: true },
    { name: 'zebra', isDefault: false },
  ]);
  await ghost.consumer.deregister();
  const { data } = await server.query<Models>(query);
  expect(data).toEqual({ models: [{ name: 'zebra', isDefault: true }], model: null });
  const refused = await server.upload<Answer>(ASK, [await paint(1)], { model: 'ant' });
  expect(refused.errors?.[0]?.extensions?.code).toBe('UNAVAILABLE');
  expect(refused.errors?.[0]?.message).toContain('No worker has served the model ant');
  const unknown = await server.upload<Answer>(ASK, [await paint(1)], { model: 'bee' });
  expect(unknown.data.classifyImage.code).toBe('MODEL_NOT_FOUND');
  const byDefault = await server.upload<Answer>(ASK, [await paint(1)], {});
  expect(byDefault.data.classifyImage).toEqual({ __typename: 'Prediction', model: 'zebra' });
});

test('the default model stays the default when another one comes, and one that only waits for a worker is not', async () => {
  const server = await startServer();
  const registry = new Registry(connect('work'), { prefix: server.prefix });
  const zebra = await startWorker(server.prefix, { name: 'zebra', queue: { graceMs: 60_000 } });
  await registry.setDefaultModel('zebra');
  await startWorker(server.prefix, { name: 'ant' });
  const defaults = async () => {
    const { data } = await server.query<Models>('{ models { name isDefault } }');
    return data.models.filter(({ isDefault }) => isDefault).map(({ name }) => name);
  };
  expect(await defaults()).toEqual(['zebra']);
  await registry.setDefaultModel('nothing');
  expect(await defaults()).toEqual(['ant']);
  await startWorker(server.prefix, { name: 'bee', queue: { graceMs: 60_000 } }).then((bee) =>
    bee.consumer.deregister(),
  );
  await zebra.consumer.deregister();
  expect(await defaults()).toEqual(['ant']);
});
