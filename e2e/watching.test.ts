import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  collect,
  type DeferredPart,
  type GraphqlResult,
  openSocket,
  type Socket,
  send,
  sendDeferred,
  subscribeSse,
} from './support/graphql.ts';
import { expectedClass, makePicture } from './support/pictures.ts';
import { scriptedModel, startSystem, type TestSystem } from './support/system.ts';

let system: TestSystem;
let socket: Socket;

beforeAll(async () => {
  system = await startSystem({ models: [scriptedModel({ script: { waitMs: 400 } })] });
  socket = openSocket(system.url);
});

afterAll(async () => {
  await socket?.close();
  await system?.end();
});

interface Prediction {
  id: string;
  status: string;
  queuePosition: number | null;
  result: { labels: { index: number }[] } | null;
}

type Event = GraphqlResult<{ prediction: Prediction }>;

const FIELDS = 'id status queuePosition result { labels(topK: 1) { index } }';
const SUBSCRIPTION = `subscription ($id: ID!) { prediction(id: $id) { ${FIELDS} } }`;

async function submit(n: number): Promise<string> {
  const { data } = await send<{ classifyImage: { id: string } }>(system.url, {
    query: 'mutation ($image: Upload!) { classifyImage(image: $image) { ... on Prediction { id status } } }',
    variables: { image: null },
    files: { image: makePicture(n) },
  });
  return data!.classifyImage.id;
}

const ways = {
  sse: (id: string) => subscribeSse<{ prediction: Prediction }>(system.url, { query: SUBSCRIPTION, variables: { id } }),
  socket: (id: string) => socket.subscribe<{ prediction: Prediction }>({ query: SUBSCRIPTION, variables: { id } }),
};

async function next(stream: AsyncGenerator<Event>): Promise<Prediction> {
  const { value } = await stream.next();
  return (value as Event).data!.prediction;
}

/** What is left of a subscription. */
async function rest(stream: AsyncGenerator<Event>): Promise<Prediction[]> {
  const events: Prediction[] = [];
  for await (const { data } of stream) events.push(data!.prediction);
  return events;
}

let pictures = 0;

test.each(['sse', 'socket'] as const)(
  'a subscription (%s) opened before, during and after the work sees its end, once',
  async (way) => {
    const n = pictures++;
    const end = { status: 'SUCCEEDED', result: { labels: [{ index: expectedClass(n) }] } };
    system.workers[0]!.pause();
    const id = await submit(n);
    const before = ways[way](id);
    expect(await next(before)).toMatchObject({ id, status: 'QUEUED', queuePosition: 1, result: null });
    system.workers[0]!.resume();
    expect(await next(before)).toMatchObject({ id, status: 'PROCESSING', queuePosition: null });
    const during = ways[way](id);
    expect(await next(during)).toMatchObject({ id, status: 'PROCESSING' });
    expect(await rest(before)).toMatchObject([end]);
    expect(await rest(during)).toMatchObject([end]);
    expect(await rest(ways[way](id))).toMatchObject([end]);
  },
);

test('a place in the queue is told as it moves', async () => {
  system.workers[0]!.pause();
  const first = pictures;
  for (let n = 0; n < 20; n++) await submit(pictures++);
  const id = await submit(pictures++);
  const places: (number | null)[] = [];
  for await (const { data } of ways.sse(id)) {
    if (data!.prediction.status === 'QUEUED') places.push(data!.prediction.queuePosition);
    system.workers[0]!.resume();
  }
  expect(places[0]).toBe(pictures - first);
  expect(places.length).toBeGreaterThan(1);
  expect(places).toEqual([...places].sort((a, b) => b! - a!));
});

test('a mutation with @defer gives the id first and the result on the same response', async () => {
  const n = pictures++;
  const parts: DeferredPart<{ classifyImage: { id: string } }>[] = [];
  const query = `mutation ($image: Upload!) {
    classifyImage(image: $image) { ... on Prediction { id status ... @defer { result { labels(topK: 1) { index } } } } }
  }`;
  for await (const part of sendDeferred<{ classifyImage: { id: string } }>(system.url, {
    query,
    variables: { image: null },
    files: { image: makePicture(n) },
  })) {
    parts.push(part);
  }
  expect(parts[0]).toMatchObject({
    data: { classifyImage: { id: expect.any(String), status: 'QUEUED' } },
    hasNext: true,
  });
  const deferred = parts.slice(1).flatMap(({ incremental }) => incremental ?? []);
  expect(deferred).toEqual([{ path: ['classifyImage'], data: { result: { labels: [{ index: expectedClass(n) }] } } }]);
  expect(parts.at(-1)!.hasNext).toBe(false);
});

test('an id that nobody was given: the query knows nothing, the subscription ends with NOT_FOUND', async () => {
  const id = 'scripted.AAAAAAAAAAAAAAAAAAAAAA';
  const answer = await send(system.url, { query: `query { prediction(id: "${id}") { id } }` });
  expect(answer.data).toEqual({ prediction: null });
  for (const way of ['sse', 'socket'] as const) {
    const [event] = await collect(ways[way](id));
    expect(event!.errors![0]!.extensions!.code).toBe('NOT_FOUND');
  }
});

test('a server that drains ends subscriptions with a reason to come back, and answers what it waits for', async () => {
  const drained = await startSystem({ models: [scriptedModel({ script: { waitMs: 1_500 } })] });
  try {
    const [server] = drained.servers;
    const submitted = await send<{ classifyImage: { id: string } }>(server!.url, {
      query: 'mutation ($image: Upload!) { classifyImage(image: $image) { ... on Prediction { id status } } }',
      variables: { image: null },
      files: { image: makePicture(1) },
    });
    const operation = { query: SUBSCRIPTION, variables: { id: submitted.data!.classifyImage.id } };
    const overSse = subscribeSse<{ prediction: Prediction }>(server!.url, operation);
    const drainedSocket = openSocket(server!.url);
    const overSocket = drainedSocket.subscribe<{ prediction: Prediction }>(operation);
    await Promise.all([next(overSse), next(overSocket)]);
    const waiting = send<{ classifyImage: Prediction }>(server!.url, {
      query: `mutation ($image: Upload!) { classifyImage(image: $image) { ... on Prediction { ${FIELDS} } } }`,
      variables: { image: null },
      files: { image: makePicture(2) },
    });
    await waitForWaiting(server!.url, 2);
    const [, , , answer] = await Promise.all([
      server!.stop(),
      collect(overSse).then((events) => {
        expect(events.at(-1)!.errors![0]!.extensions).toMatchObject({ code: 'UNAVAILABLE' });
      }),
      collect(overSocket).catch(() => undefined),
      waiting,
    ]);
    expect(drainedSocket.closeCode()).toBe(1012);
    expect(answer.data!.classifyImage.status).toBe('SUCCEEDED');
  } finally {
    await drained.end();
  }
});

/** Asks until so many are queued or run. */
async function waitForWaiting(url: string, wanted: number): Promise<void> {
  for (;;) {
    const { data } = await send<{ queue: { waiting: number; processing: number } }>(url, {
      query: '{ queue { waiting processing } }',
    });
    if (data!.queue.waiting + data!.queue.processing >= wanted) return;
  }
}
