import { describe, expect, test } from 'vitest';
import { jsonRequest } from './requests.ts';
import { paint, type Server, startServer, startWorker, testRedis } from './server-harness.ts';
import { collect, enqueue, type StreamedAnswer, WATCH } from './subscriptions.ts';

/** The events of a server-sent stream, until it completes. */
async function* readEvents(response: Response): AsyncGenerator<StreamedAnswer> {
  expect(response.headers.get('content-type')).toContain('text/event-stream');
  let text = '';
  for await (const chunk of response.body!.pipeThrough(new TextDecoderStream()) as unknown as AsyncIterable<string>) {
    text += chunk;
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const event = text.slice(0, end);
      text = text.slice(end + 2);
      if (event.startsWith('event: complete')) return;
      if (event.startsWith('event: next')) yield JSON.parse(event.slice(event.indexOf('data: ') + 6));
    }
  }
  throw new Error('the stream ended without complete');
}

async function follow(server: Server, id: string, query = WATCH): Promise<AsyncGenerator<StreamedAnswer>> {
  return readEvents(await server.fetch('/graphql', jsonRequest(query, { id }, { accept: 'text/event-stream' })));
}

const statuses = (events: StreamedAnswer[]) => events.map(({ data }) => data?.prediction.status);

describe('over server-sent events', () => {
  test('one opened before the work sends QUEUED first, SUCCEEDED last, then completes', async () => {
    const server = await startServer();
    const worker = await startWorker(server.prefix);
    worker.settling.close();
    const id = await enqueue(server, 30);
    const events = await follow(server, id);
    const first = (await events.next()).value as StreamedAnswer;
    expect(['QUEUED', 'PROCESSING']).toContain(first.data!.prediction.status);
    worker.settling.open();
    const rest = await collect(events);
    expect(rest.at(-1)!.data!.prediction).toMatchObject({
      id,
      status: 'SUCCEEDED',
      result: { labels: [{ index: 30 }] },
    });
    const order = ['QUEUED', 'PROCESSING', 'SUCCEEDED'];
    const event = statuses([first, ...rest]).map((status) => order.indexOf(status!));
    expect(event).toEqual([...event].sort((a, b) => a - b));
  });

  test('one opened after the end, on another server, sends the end and completes', async () => {
    const server = await startServer();
    const other = await startServer({ prefix: server.prefix });
    await startWorker(server.prefix);
    const id = await enqueue(server, 31);
    await collect(await follow(server, id));
    expect(statuses(await collect(await follow(other, id)))).toEqual(['SUCCEEDED']);
  });

  test('a GET goes without a header, as EventSource sends it', async () => {
    const server = await startServer();
    await startWorker(server.prefix);
    const id = await enqueue(server, 32);
    const query = new URLSearchParams({ query: WATCH, variables: JSON.stringify({ id }) });
    const response = await server.fetch(`/graphql?${query}`, { headers: { accept: 'text/event-stream' } });
    expect(statuses(await collect(readEvents(response))).at(-1)).toBe('SUCCEEDED');
  });

  test.each(['nothing', 'tiny.0123456789012345678901', 'other.0123456789012345678901', '', '../../x'])(
    'the unknown id %j is NOT_FOUND',
    async (id) => {
      const server = await startServer();
      await startWorker(server.prefix);
      const [event, ...rest] = await collect(await follow(server, id));
      expect(rest).toEqual([]);
      expect(event!.errors![0]!.extensions!.code).toBe('NOT_FOUND');
    },
  );

  test('canceling while it waits is reported, and ends the stream', async () => {
    const server = await startServer();
    const worker = await startWorker(server.prefix);
    worker.claiming.close();
    worker.settling.close();
    await enqueue(server, 1);
    const id = await enqueue(server, 33);
    const events = await follow(server, id);
    await events.next();
    const { data } = await server.query<{ cancelPrediction: object }>(
      'mutation ($id: ID!) { cancelPrediction(id: $id) { id status } }',
      { id },
    );
    expect(data.cancelPrediction).toEqual({ id, status: 'CANCELED' });
    expect(statuses(await collect(events)).at(-1)).toBe('CANCELED');
  });

  test('changes of the place in the queue are reported', async () => {
    const server = await startServer();
    const worker = await startWorker(server.prefix);
    worker.settling.close();
    await enqueue(server, 1);
    const before = [await enqueue(server, 2), await enqueue(server, 3)];
    const id = await enqueue(server, 4);
    const events = await follow(server, id);
    const first = ((await events.next()).value as StreamedAnswer).data!.prediction.queuePosition!;
    expect(first).toBeGreaterThanOrEqual(3);
    await server.query('mutation ($id: ID!) { cancelPrediction(id: $id) { id } }', { id: before[0] });
    const second = ((await events.next()).value as StreamedAnswer).data!.prediction;
    expect(second).toMatchObject({ status: 'QUEUED', queuePosition: first - 1 });
    await events.return(undefined);
  });

  test.each([
    { arrival: 'a more urgent image', red: 41 },
    { arrival: 'a more urgent request for the same image', red: 42 },
  ])('so are changes by $arrival', async ({ red }) => {
    // Without audits, which read all positions.
    const server = await startServer({ env: { INFERQL_SHARE: 'on', INFERQL_AUDIT_INTERVAL_MS: '600000' } });
    await startWorker(server.prefix, {}, { idle: true });
    const id = await enqueue(server, 40);
    await enqueue(server, 42);
    const events = await follow(server, id);
    expect(((await events.next()).value as StreamedAnswer).data!.prediction.queuePosition).toBe(1);
    await server.upload(
      'mutation ($image: Upload!) { classifyImage(image: $image, priority: HIGH) { ... on Prediction { id } } }',
      [await paint(red)],
    );
    expect(((await events.next()).value as StreamedAnswer).data!.prediction.queuePosition).toBe(2);
    await events.return(undefined);
  });

  test('an unreadable message affects nobody', async () => {
    const server = await startServer();
    const worker = await startWorker(server.prefix);
    worker.settling.close();
    const id = await enqueue(server, 37);
    const events = await follow(server, id);
    await events.next();
    await server.redis.publish(`${server.prefix}:{tiny}:events`, `1 ${id} 99 ["status","LATER"]`);
    worker.settling.open();
    expect(statuses(await collect(events)).at(-1)).toBe('SUCCEEDED');
  });

  test('predictions of a withdrawn model are reported to their end', async () => {
    const server = await startServer();
    const worker = await startWorker(server.prefix, {}, { idle: true });
    const id = await enqueue(server, 38);
    await worker.consumer.withdraw();
    await expect.poll(async () => (await server.query('{ models { name } }')).data).toEqual({ models: [] });
    const events = await follow(server, id);
    expect(((await events.next()).value as StreamedAnswer).data?.prediction.status).toBe('QUEUED');
    worker.claiming.open();
    expect(statuses(await collect(events)).at(-1)).toBe('SUCCEEDED');
  });

  test('messages lost for a while are recovered', async () => {
    const server = await startServer({ env: { INFERQL_AUDIT_INTERVAL_MS: '50' } });
    const worker = await startWorker(server.prefix);
    worker.settling.close();
    const id = await enqueue(server, 34);
    const events = await follow(server, id);
    await events.next();
    // The event channel stops receiving on a connection that stays alive.
    await server.subscriber.unsubscribe();
    worker.settling.open();
    expect(statuses(await collect(events)).at(-1)).toBe('SUCCEEDED');
  });

  test('subscriptions and waiting mutations survive a restart of Redis', async () => {
    const server = await startServer();
    const worker = await startWorker(server.prefix);
    worker.settling.close();
    const id = await enqueue(server, 35);
    const events = await follow(server, id);
    await events.next();
    const waiting = server.upload<{ classifyImage: { status: string } }>(
      'mutation ($image: Upload!) { classifyImage(image: $image) { ... on Prediction { status finishedAt } } }',
      [await paint(36)],
    );
    // Until both are queued.
    while ((await server.redis.keys(`${server.prefix}*`)).length === 0);
    await testRedis().kill9();
    await testRedis().restart();
    worker.settling.open();
    expect(statuses(await collect(events)).at(-1)).toBe('SUCCEEDED');
    const answer = await waiting;
    // It was admitted before the kill, or refused with a message; never lost.
    expect(answer.data?.classifyImage.status ?? answer.errors![0]!.extensions!.code).toMatch(/SUCCEEDED|UNAVAILABLE/);
  });

  test.each(['SUCCEEDED', 'CANCELED'])('%s ends them after a failover that lost the start', async (end) => {
    const server = await startServer();
    const worker = await startWorker(server.prefix);
    worker.settling.close();
    const id = await enqueue(server, 39);
    const events = await follow(server, id);
    for (let status = ''; status !== 'PROCESSING'; ) status = (await events.next()).value.data!.prediction.status;
    const base = `${server.prefix}:{tiny}`;
    await server.redis.hset(`${base}:prediction:${id}`, { status: 'QUEUED', revision: 1, attempts: 0 });
    if (end === 'CANCELED') await server.query('mutation ($id: ID!) { cancelPrediction(id: $id) { id } }', { id });
    worker.settling.open();
    expect(statuses(await collect(events))).toEqual([end]);
  });

  test('a server that shuts down ends it with a retryable error', async () => {
    const server = await startServer();
    const worker = await startWorker(server.prefix);
    worker.settling.close();
    const id = await enqueue(server, 37);
    const events = await follow(server, id);
    await events.next();
    server.components.drain();
    const rest = await collect(events);
    expect(rest.at(-1)!.errors![0]!.extensions).toMatchObject({
      code: 'UNAVAILABLE',
      retryAfterMs: expect.any(Number),
    });
  });

  test('a queue is reported at once and when it changes', async () => {
    const server = await startServer();
    const worker = await startWorker(server.prefix);
    worker.claiming.close();
    worker.settling.close();
    const response = await server.fetch(
      '/graphql',
      jsonRequest(
        'subscription { queue { model waiting processing workers { id } } }',
        {},
        { accept: 'text/event-stream' },
      ),
    );
    const events = readEvents(response) as AsyncGenerator<{
      data: { queue: { waiting: number; processing: number; workers: object[] } };
    }>;
    const first = (await events.next()).value.data.queue;
    expect(first).toMatchObject({ model: 'tiny', waiting: 0 });
    expect(first.workers).toHaveLength(1);
    await enqueue(server, 1);
    await enqueue(server, 2);
    for (;;) {
      const { queue } = (await events.next()).value.data;
      if (queue.waiting + queue.processing === 2) break;
    }
    await events.return(undefined);
  });
});
