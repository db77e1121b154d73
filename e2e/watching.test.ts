import { expectedClass, makePicture } from '@inferql/testing/data/test-images';
import { pauseEngines } from '@inferql/testing/launcher/launcher';
import {
  collect,
  type DeferredPart,
  type GraphqlResult,
  openSocket,
  type Socket,
  send,
  sendDeferred,
  subscribeSse,
} from '@inferql/testing/system/graphql-client';
import { scriptedModel, startSystem, type TestSystem } from '@inferql/testing/system/system';
import { until } from '@inferql/testing/until';
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  BusyDocument,
  type BusyQuery,
  FollowDocument,
  type FollowedFragment,
  type FollowSubscription,
  SubmitAndWaitDocument,
  type SubmitAndWaitMutation,
  SubmitDocument,
  type SubmitMutation,
} from './generated/graphql.ts';

let system: TestSystem;
let socket: Socket;

beforeAll(async () => {
  system = await startSystem({
    models: [scriptedModel({ script: { waitMs: 400 }, batching: { maxBatchSize: 4 } })],
  });
  socket = openSocket(system.url);
});

afterAll(async () => {
  await socket?.close();
  await system?.end();
});

type Event = GraphqlResult<FollowSubscription>;

/** Sends a picture and returns the id of its prediction. */
async function submit(n: number, url = system.url): Promise<string> {
  const { data } = await send<SubmitMutation>(url, {
    query: String(SubmitDocument),
    variables: { image: null },
    files: { image: makePicture(n) },
  });
  const outcome = data!.classifyImage;
  if (!('id' in outcome)) throw new Error('the picture was refused');
  return outcome.id;
}

const follow = (id: string) => ({ query: String(FollowDocument), variables: { id } });

const ways = {
  sse: (id: string) => subscribeSse<FollowSubscription>(system.url, follow(id)),
  socket: (id: string) => socket.subscribe<FollowSubscription>(follow(id)),
};

async function next(stream: AsyncGenerator<Event>): Promise<FollowedFragment> {
  const { value } = await stream.next();
  return (value as Event).data!.prediction!;
}

/** The remaining events of a subscription. */
async function rest(stream: AsyncGenerator<Event>): Promise<FollowedFragment[]> {
  const events: FollowedFragment[] = [];
  for await (const { data } of stream) events.push(data!.prediction!);
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
    // The work continues until it is seen, however long that takes.
    const continueWork = pauseEngines(system.workers[0]!);
    system.workers[0]!.resume();
    expect(await next(before)).toMatchObject({ id, status: 'PROCESSING', queuePosition: null });
    const during = ways[way](id);
    expect(await next(during)).toMatchObject({ id, status: 'PROCESSING' });
    continueWork();
    expect(await rest(before)).toMatchObject([end]);
    expect(await rest(during)).toMatchObject([end]);
    expect(await rest(ways[way](id))).toMatchObject([end]);
  },
);

test('changes of a place in the queue are reported', async () => {
  system.workers[0]!.pause();
  const first = pictures;
  for (let n = 0; n < 20; n++) await submit(pictures++);
  const id = await submit(pictures++);
  const places: (number | null)[] = [];
  for await (const { data } of ways.sse(id)) {
    const { status, queuePosition } = data!.prediction!;
    if (status === 'QUEUED') places.push(queuePosition);
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

test('an id that was never given out: the query returns null, the subscription ends with NOT_FOUND', async () => {
  const id = 'scripted.AAAAAAAAAAAAAAAAAAAAAA';
  const answer = await send(system.url, { query: `query { prediction(id: "${id}") { id } }` });
  expect(answer.data).toEqual({ prediction: null });
  for (const way of ['sse', 'socket'] as const) {
    const [event] = await collect(ways[way](id));
    expect(event!.errors![0]!.extensions!.code).toBe('NOT_FOUND');
  }
});

test('a server that drains ends subscriptions with a retryable reason, and answers what it waits for', async () => {
  const drained = await startSystem();
  try {
    const [server] = drained.servers;
    const [worker] = drained.workers;
    worker!.pause();
    const operation = follow(await submit(1, server!.url));
    const overSse = subscribeSse<FollowSubscription>(server!.url, operation);
    const drainedSocket = openSocket(server!.url);
    const overSocket = drainedSocket.subscribe<FollowSubscription>(operation);
    await Promise.all([next(overSse), next(overSocket)]);
    const waiting = send<SubmitAndWaitMutation>(server!.url, {
      query: String(SubmitAndWaitDocument),
      variables: { image: null },
      files: { image: makePicture(2) },
    });
    await waitForWaiting(server!.url, 2);
    const stopped = server!.stop();
    // Before the work ends: the server does not wait for it with these.
    const [events] = await Promise.all([collect(overSse), collect(overSocket).catch(() => undefined)]);
    expect(events.at(-1)!.errors![0]!.extensions).toMatchObject({ code: 'UNAVAILABLE' });
    worker!.resume();
    const [answer] = await Promise.all([waiting, stopped]);
    expect(drainedSocket.closeCode()).toBe(1012);
    expect(answer.data!.classifyImage).toMatchObject({ status: 'SUCCEEDED' });
  } finally {
    await drained.end();
  }
});

/** Resolves once this many are queued or running. */
async function waitForWaiting(url: string, wanted: number): Promise<void> {
  await until(
    () => send<BusyQuery>(url, { query: String(BusyDocument) }),
    ({ data }) => data!.queue!.waiting + data!.queue!.processing >= wanted,
  );
}
