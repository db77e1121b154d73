/** Class names, and predictions with many labels. */
import { describe, expect, test } from 'vitest';
import { paint, startServer, startWorker } from './server-harness.ts';

interface ModelAnswer {
  model: { classCount: number; task: string; labels: { index: number; name: string }[] | null };
}
interface Classified {
  classifyImage: { result: { labels: { index: number }[] } };
}

describe('the class names of a model', () => {
  test('are read page by page', async () => {
    const server = await startServer();
    await startWorker(server.prefix, { task: 'multi-label' });
    const read = async (page: string) =>
      server.query<ModelAnswer>(`{ model(name: "tiny") { task labels${page} { index name } } }`);
    const { data } = await read('');
    expect(data.model.task).toBe('MULTI_LABEL');
    expect(data.model.labels).toHaveLength(100);
    expect(data.model.labels?.[0]).toEqual({ index: 0, name: 'red 0' });
    const last = await read('(offset: 254, limit: 1000)');
    expect(last.data.model.labels).toEqual([
      { index: 254, name: 'red 254' },
      { index: 255, name: 'red 255' },
    ]);
    expect((await read('(offset: 999)')).data.model.labels).toEqual([]);
    for (const page of ['(limit: 0)', '(limit: 1001)', '(offset: -1)']) {
      expect((await read(page)).errors?.[0]?.extensions?.code, page).toBe('INVALID_INPUT');
    }
  });

  test('are null if no worker announced them, and its task is one class per image', async () => {
    const server = await startServer();
    const { consumer, model } = await startWorker(server.prefix);
    await server.redis.del(`${server.prefix}:{${model.name}}:labels`);
    const { data } = await server.query<ModelAnswer>('{ model(name: "tiny") { task labels { name } } }');
    expect(data.model).toEqual({ task: 'SINGLE_LABEL', labels: null });
    await consumer.deregister();
  });
});

describe('more than 20 labels', () => {
  const ask = (mutation: string, labels: string) =>
    `mutation ($image: Upload!${labels.includes('$k') ? ', $k: Int' : ''}) { classifyImage(image: $image${mutation}) { ... on Prediction { result { ${labels} { index } } } } }`;

  test.each([
    ['topK of the mutation', ask(', topK: 50', 'labels'), {}, 50],
    ['topK of labels', ask('', 'labels(topK: 60)'), {}, 60],
    ['a variable', ask('', 'labels(topK: $k)'), { k: 70 }, 70],
    ['the larger of both', ask(', topK: 3', 'labels(topK: 80)'), {}, 80],
    ['no more than there are', ask('', 'labels(topK: 15)'), {}, 15],
  ])('are kept for %s', async (_, query, variables, count) => {
    const server = await startServer();
    await startWorker(server.prefix);
    const { data, errors } = await server.upload<Classified>(query, [await paint(7)], variables);
    expect(errors).toBeUndefined();
    expect(data.classifyImage.result.labels).toHaveLength(count);
  });
});
