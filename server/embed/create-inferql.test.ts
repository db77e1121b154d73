import type { PredictionState } from '@inferql/queue/contract';
import { connectRedis } from '@inferql/queue/redis/connection';
import { extendSchema, graphql, parse } from 'graphql';
import { createYoga } from 'graphql-yoga';
import { expect, test, vi } from 'vitest';
import { maskError } from '../http/operations/error-mask.ts';
import { jsonRequest, readAnswer, uploadRequest } from '../test/requests.ts';
import { atEnd, CLASSIFY, paint, startWorker, testRedis } from '../test/server-harness.ts';
import { type Classified, classify, embed, listen } from './embed.fixture.ts';
import type { PredictionEvent } from './types.ts';

test('an instance connects to nothing until it starts', async () => {
  const observer = connectRedis(testRedis().url, 'work');
  atEnd(() => observer.disconnect());
  const count = async () =>
    String(await observer.client('LIST'))
      .trim()
      .split('\n').length;
  const before = 1;
  // That of the check that Redis has started may be closing.
  await expect.poll(count).toBe(before);
  const { inferql } = embed();
  expect(inferql.schema.getQueryType()).toBeDefined();
  expect(await count()).toBe(before);
  await inferql.start();
  expect(await count()).toBeGreaterThan(before);
  await inferql.stop();
  await expect.poll(count).toBe(before);
});

test('two instances in one process answer at their own endpoints by fetch, and start with the first request', async () => {
  const first = embed({ endpoint: '/api/graphql' });
  const second = embed({ endpoint: '/other' });
  await startWorker(first.prefix);
  await startWorker(second.prefix);
  const one = await classify(first.inferql.fetch, 40, { path: '/api/graphql' });
  const two = await classify(second.inferql.fetch, 80, { path: '/other' });
  expect(one.data?.classifyImage.result?.labels[0]?.index).toBe(40);
  expect(two.data?.classifyImage.result?.labels[0]?.index).toBe(80);
  expect((await first.inferql.fetch(new Request('http://app.test/graphql?query={__typename}'))).status).toBe(404);
  expect((await first.inferql.fetch(new Request('http://app.test/health/live'))).status).toBe(404);
});

test('a request with many images makes Node report no leak of listeners', async () => {
  const { inferql, prefix } = embed();
  await startWorker(prefix);
  const warnings: string[] = [];
  const onWarning = ({ message }: Error) => void warnings.push(message);
  process.on('warning', onWarning);
  atEnd(() => void process.off('warning', onWarning));
  const images = await Promise.all(Array.from({ length: 12 }, (_, i) => paint(i)));
  const query = 'mutation ($images: [Upload!]!) { classifyImages(images: $images) { __typename } }';
  const request = new Request('http://app.test/graphql', uploadRequest(query, images));
  const { data } = await readAnswer<{ classifyImages: { __typename: string }[] }>(await inferql.fetch(request));
  expect(data?.classifyImages).toEqual(images.map(() => ({ __typename: 'Prediction' })));
  expect(warnings).toEqual([]);
});

test('authenticate identifies the caller: nobody is refused, and tenants do not see each other', async () => {
  const { inferql, prefix } = embed({
    authenticate: ({ header }) => (header('cookie') ? { tenant: header('cookie')! } : null),
  });
  await startWorker(prefix);
  const refused = await classify(inferql.fetch, 1);
  expect(refused).toMatchObject({ status: 401, errors: [{ extensions: { code: 'UNAUTHENTICATED' } }] });
  const accepted = await classify(inferql.fetch, 2, { headers: { cookie: 'alice' } });
  const { id } = accepted.data!.classifyImage;
  const read = async (cookie: string) =>
    readAnswer<{ prediction: { id: string } | null }>(
      await inferql.fetch(
        new Request('http://app.test/graphql', jsonRequest(`{ prediction(id: "${id}") { id } }`, {}, { cookie })),
      ),
    );
  expect((await read('alice')).data?.prediction?.id).toBe(id);
  expect((await read('bob')).data?.prediction).toBeNull();
});

test('beforeAdmit refuses with a message or chooses another model, and onSettled is called once per end', async () => {
  const settled: PredictionState[] = [];
  const { inferql, prefix } = embed({
    hooks: {
      beforeAdmit: ({ image, model }) =>
        image.length > 100_000 ? { refuse: 'Too detailed.' } : model === 'tiny' ? undefined : { model: 'other' },
      onSettled: (prediction) => settled.push(prediction),
    },
  });
  await startWorker(prefix);
  await startWorker(prefix, { name: 'other', version: 'bbbbbbbbbbbb' });
  const refused = await readAnswer<Classified>(
    await inferql.fetch(new Request('http://app.test/graphql', uploadRequest(CLASSIFY, [Buffer.alloc(100_001)]))),
  );
  expect(refused.data?.classifyImage).toMatchObject({ code: 'INVALID_INPUT', message: 'Too detailed.' });
  const rerouted = await classify(inferql.fetch, 5);
  expect(rerouted.data?.classifyImage.id).toMatch(/^other\./);
  const kept = await classify(inferql.fetch, 6, { variables: { model: 'tiny' } });
  expect(kept.data?.classifyImage.id).toMatch(/^tiny\./);
  await expect
    .poll(() => settled.map(({ id }) => id).sort())
    .toEqual([rerouted, kept].map(({ data }) => data!.classifyImage.id).sort());
  expect(settled.map(({ status }) => status)).toEqual(['SUCCEEDED', 'SUCCEEDED']);
});

test('the schema can be extended, and plugins run', async () => {
  const onExecute = vi.fn();
  const { inferql } = embed({
    plugins: [{ onExecute }],
    extendSchema: (schema) => {
      const extended = extendSchema(schema, parse('extend type Query { hello: String! }'));
      extended.getQueryType()!.getFields().hello!.resolve = () => 'there';
      return extended;
    },
  });
  const answer = await inferql.fetch(new Request('http://app.test/graphql', jsonRequest('{ hello }')));
  expect(await answer.json()).toEqual({ data: { hello: 'there' } });
  expect(onExecute).toHaveBeenCalledOnce();
});

test('another GraphQL server can run the schema, with another multipart reader', async () => {
  const { inferql, prefix } = embed();
  await startWorker(prefix);
  const yoga = createYoga({ schema: inferql.schema, context: ({ request }) => inferql.createContext(request) });
  const answer = await classify(async (request) => yoga.fetch(request), 21);
  expect(answer.data?.classifyImage.result?.labels[0]?.index).toBe(21);
});

test('errors have their codes in other GraphQL servers', async () => {
  const { inferql, prefix } = embed();
  await startWorker(prefix);
  const { schema } = inferql;
  const query = '{ model(name: "tiny") { labels(limit: 0) { index } } }';
  const contextValue = await inferql.createContext({ headers: new Headers() });
  const { errors } = await graphql({ schema, source: query, contextValue });
  expect(errors).toMatchObject([{ extensions: { code: 'INVALID_INPUT' } }]);
  const yoga = createYoga({
    schema,
    context: ({ request }) => inferql.createContext(request),
    maskedErrors: { maskError },
    logging: false,
  });
  const answer = await readAnswer(await yoga.fetch('http://app.test/graphql', jsonRequest(query)));
  expect(answer.errors).toMatchObject([{ extensions: { code: 'INVALID_INPUT' } }]);
});

test('after a start that failed, the next request tries again', async () => {
  const onYogaInit = vi.fn().mockImplementationOnce(() => {
    throw new Error('the network is down');
  });
  const { inferql } = embed({ plugins: [{ onYogaInit }] });
  const ask = () => inferql.fetch(new Request('http://app.test/graphql?query={__typename}'));
  const failed = [inferql.start(), ask()];
  for (const one of failed) await expect(one).rejects.toThrow('the network is down');
  expect(onYogaInit).toHaveBeenCalledOnce();
  expect((await ask()).status).toBe(200);
});

test.each(['fetch', 'node'] as const)('stop lets a mutation that waits get its result: %s', async (way) => {
  const { inferql, prefix } = embed();
  const worker = await startWorker(prefix);
  worker.settling.close();
  const { origin } = await listen((request, response) => void inferql.node(request, response));
  const url = `http://${origin}/graphql`;
  const byNode = ({ body, headers }: Request) =>
    fetch(url, { method: 'POST', body, headers, duplex: 'half' } as RequestInit);
  let hasStopped = false;
  const answer = classify(way === 'node' ? byNode : inferql.fetch, 44);
  const query = 'subscription { queue { processing } }';
  const events = await fetch(`${url}?query=${encodeURIComponent(query)}`, { headers: { accept: 'text/event-stream' } });
  const reader = events.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  while (!text.includes('"processing":1')) text += (await reader.read()).value;
  const stopped = inferql.stop().then(() => {
    hasStopped = true;
  });
  // The subscription ends when the server has begun to stop.
  while (!(await reader.read()).done);
  expect(hasStopped).toBe(false);
  worker.settling.open();
  expect((await answer).data?.classifyImage.result?.labels[0]?.index).toBe(44);
  await stopped;
});

test('stop lets a deferred part and a submission get their results', async () => {
  const { inferql, prefix } = embed();
  const worker = await startWorker(prefix);
  worker.settling.close();
  const query =
    'mutation ($image: Upload!) { classifyImage(image: $image) { ... on Prediction { id ... @defer { status result { labels(topK: 1) { index } } } } } }';
  const init = uploadRequest(query, [await paint(45)], {}, { accept: 'multipart/mixed' });
  const response = await inferql.fetch(new Request('http://app.test/graphql', init));
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  while (!text.includes('"hasNext"')) text += (await reader.read()).value ?? '';
  const submitted = inferql.submit(await paint(46));
  const events = [(await submitted.next()).value as PredictionEvent];
  let hasStopped = false;
  const stopped = inferql.stop().then(() => {
    hasStopped = true;
  });
  worker.settling.open();
  for await (const event of submitted) events.push(event);
  expect(events.at(-1)).toMatchObject({ status: 'SUCCEEDED', result: { labels: [{ index: 46 }, {}, {}, {}, {}] } });
  expect(hasStopped).toBe(false);
  for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) text += chunk.value;
  expect(text).toContain('"index":45');
  await stopped;
});

test('a stopped instance says so', async () => {
  const { inferql } = embed();
  await inferql.start();
  await inferql.stop();
  await expect(inferql.fetch(new Request('http://app.test/graphql?query={__typename}'))).rejects.toThrow('was stopped');
});
