/** Server-sent events through real sockets, written to Node's response. */
import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { createYoga } from 'graphql-yoga';
import { pino } from 'pino';
import { describe, expect, test, vi } from 'vitest';
import { jsonRequest, uploadRequest } from '../../test/requests.ts';
import { atEnd, paint, startServer, startWorker } from '../../test/server-harness.ts';
import { enqueue } from '../../test/subscriptions.ts';
import { useEventStreams } from './sse.ts';

const WATCH = 'subscription ($id: ID!) { prediction(id: $id) { id status } }';

function createAgent(): Agent {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  atEnd(() => agent.destroy());
  return agent;
}

async function get(url: string, agent: Agent, headers: Record<string, string> = {}): Promise<IncomingMessage> {
  const outgoing = request(url, { agent, headers: { accept: 'text/event-stream', ...headers } }).end();
  const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
  return response;
}

async function readText(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

const followUrl = (url: string, id: string) =>
  `${url}/graphql?${new URLSearchParams({ query: WATCH, variables: JSON.stringify({ id }) })}`;

describe('server-sent events through a socket', () => {
  test('the states come as events, and the connection serves the next request', async () => {
    const server = await startServer();
    await startWorker(server.prefix);
    const url = await server.listener.listen();
    const id = await enqueue(server, 7);
    const agent = createAgent();
    const first = await get(followUrl(url, id), agent);
    const { socket } = first;
    const events = (await readText(first)).split('\n\n');
    expect(events[0]).toBe(':');
    expect(events.at(-3)).toBe(`event: next\ndata: {"data":{"prediction":{"id":"${id}","status":"SUCCEEDED"}}}`);
    expect(events.slice(-2)).toEqual(['event: complete\ndata:\nid: done', '']);
    const second = await get(followUrl(url, id), agent);
    expect(second.socket === socket).toBe(true);
    expect(await readText(second)).toContain('"SUCCEEDED"');
  });

  test('its headers are those of every response, and keep proxies from buffering', async () => {
    const server = await startServer({ env: { INFERQL_CORS_ORIGINS: 'https://friend.test' } });
    await startWorker(server.prefix);
    const id = await enqueue(server, 7);
    const url = await server.listener.listen();
    const response = await get(followUrl(url, id), createAgent(), { origin: 'https://friend.test' });
    expect(response.statusCode).toBe(200);
    expect(response.headers).toMatchObject({
      'content-type': 'text/event-stream',
      'cache-control': 'no-cache',
      'x-accel-buffering': 'no',
      'x-content-type-options': 'nosniff',
      'access-control-allow-origin': 'https://friend.test',
    });
    response.destroy();
    // What one answer has is not in the next one.
    const other = await get(followUrl(url, id), createAgent());
    expect(other.headers).not.toHaveProperty('access-control-allow-origin');
    other.destroy();
  });

  test('an error of the source is masked like any other, and a bad document is refused', async () => {
    const server = await startServer();
    server.components.services.watchPrediction = async () => {
      throw new Error('secret: redis://user:password@host');
    };
    const url = await server.listener.listen();
    const text = await readText(await get(followUrl(url, 'tiny.0123456789012345678901'), createAgent()));
    expect(text).toContain('INTERNAL_SERVER_ERROR');
    expect(text).not.toContain('secret');
    const unknown = `${url}/graphql?${new URLSearchParams({ query: 'subscription { nothing }' })}`;
    expect(await readText(await get(unknown, createAgent()))).toContain('Cannot query field');
  });

  test('one that cannot begin now is 503 with a time to retry', async () => {
    const server = await startServer();
    await startWorker(server.prefix);
    const id = await enqueue(server, 7);
    const url = await server.listener.listen();
    server.components.drain();
    const response = await get(followUrl(url, id), createAgent());
    expect(response.statusCode).toBe(503);
    expect(response.headers['retry-after']).toBe('1');
    expect(await readText(response)).toContain('"code":"UNAVAILABLE"');
  });

  test('a client that leaves is no longer followed', async () => {
    const server = await startServer();
    const worker = await startWorker(server.prefix);
    worker.settling.close();
    const { services } = server.components;
    const watchPrediction = services.watchPrediction.bind(services);
    let onReturn = () => {};
    const returned = new Promise<void>((resolve) => {
      onReturn = resolve;
    });
    services.watchPrediction = async (...args) => {
      const states = await watchPrediction(...args);
      const iterator = states[Symbol.asyncIterator]();
      return {
        [Symbol.asyncIterator]: () => ({
          next: () => iterator.next(),
          async return() {
            onReturn();
            return iterator.return!();
          },
        }),
      };
    };
    const id = await enqueue(server, 7);
    const response = await get(followUrl(await server.listener.listen(), id), createAgent());
    await once(response, 'data');
    response.destroy();
    await returned;
  });

  test('a mutation by the same server still learns that its caller has left', async () => {
    const server = await startServer();
    const worker = await startWorker(server.prefix);
    worker.claiming.close();
    const url = await server.listener.listen();
    const leaving = new AbortController();
    const { services } = server.components;
    const submit = services.submit.bind(services);
    const submitted = new Promise<AbortSignal>((resolve) => {
      services.submit = async (asked) => {
        resolve(asked.signal!);
        return submit(asked);
      };
    });
    const waiting = fetch(`${url}/graphql`, {
      ...uploadRequest(
        'mutation ($image: Upload!) { classifyImage(image: $image) { ... on Prediction { result { labels { name } } } } }',
        [await paint(9)],
      ),
      signal: leaving.signal,
    }).catch(() => undefined);
    const signal = await submitted;
    leaving.abort();
    await waiting;
    if (!signal.aborted) await once(signal, 'abort');
  });

  test('POST works as GET does', async () => {
    const server = await startServer();
    await startWorker(server.prefix);
    const id = await enqueue(server, 7);
    const url = await server.listener.listen();
    const response = await fetch(`${url}/graphql`, jsonRequest(WATCH, { id }, { accept: 'text/event-stream' }));
    expect(await response.text()).toContain('event: complete');
  });
});

describe('a subscription with more than a query', () => {
  const QUEUE = 'subscription { queue { waiting } }';

  test('is refused if it holds data URLs, and their memory is given back', async () => {
    const server = await startServer();
    await startWorker(server.prefix);
    const url = await server.listener.listen();
    const { memory } = server.components.files;
    const image = `data:image/png;base64,${'A'.repeat(1_000_000)}`;
    const response = await fetch(`${url}/graphql`, jsonRequest(QUEUE, { image }, { accept: 'text/event-stream' }));
    expect(await response.text()).toContain('"code":"REQUEST_TOO_LARGE"');
    await expect.poll(() => memory.heldBytes()).toBe(0);
  });

  test('is refused if it comes with files, and their memory is given back', async () => {
    const server = await startServer();
    await startWorker(server.prefix);
    const url = await server.listener.listen();
    const { memory } = server.components.files;
    const both = `${QUEUE.replace('subscription', 'subscription S')} mutation M($image: Upload!) { classifyImage(image: $image) { __typename } }`;
    const form = new FormData();
    form.set('operations', JSON.stringify({ query: both, operationName: 'S', variables: { image: null } }));
    form.set('map', JSON.stringify({ 0: ['variables.image'] }));
    form.set('0', new Blob([new Uint8Array(3_000_000)]), 'x.png');
    const response = await fetch(`${url}/graphql`, {
      method: 'POST',
      headers: { 'x-graphql-yoga-csrf': '1', accept: 'text/event-stream' },
      body: form,
    });
    expect(await response.text()).toContain('"code":"BAD_REQUEST"');
    await server.uploadDirEmptied();
    await expect.poll(() => memory.heldBytes()).toBe(0);
  });
});

describe('a client that accepts no event stream', () => {
  test.each(['application/json', 'multipart/mixed;subscriptionSpec=1.0, application/json'])(
    '(Accept: %s) is refused with a message before its subscription is opened',
    async (accept) => {
      const server = await startServer();
      await startWorker(server.prefix);
      const watchQueue = vi.spyOn(server.components.services, 'watchQueue');
      const answer = await server.query('subscription { queue { waiting } }', {}, { accept });
      expect([answer.status, answer.errors?.[0]?.extensions?.code]).toEqual([406, 'BAD_REQUEST']);
      expect(answer.errors?.[0]?.message).toContain('Accept: text/event-stream');
      expect(watchQueue).not.toHaveBeenCalled();
    },
  );

  test('gets the whole result of a mutation that defers a part of it', async () => {
    const server = await startServer();
    await startWorker(server.prefix);
    const deferring =
      'mutation ($image: Upload!) { classifyImage(image: $image) { ... on Prediction { id ... @defer { result { labels(topK: 1) { index } } } } } }';
    const { status, data } = await server.upload<{ classifyImage: object }>(deferring, [await paint(9)]);
    expect(status).toBe(200);
    expect(data.classifyImage).toMatchObject({ id: expect.any(String), result: { labels: [{ index: 9 }] } });
  });
});

describe('a browser that opens a stream again', () => {
  const again = { 'last-event-id': 'done' };

  test('that has ended learns that there is nothing more', async () => {
    const server = await startServer();
    await startWorker(server.prefix);
    const id = await enqueue(server, 7);
    const url = await server.listener.listen();
    expect(await readText(await get(followUrl(url, id), createAgent()))).toContain('id: done');
    const response = await get(followUrl(url, id), createAgent(), again);
    expect(response.statusCode).toBe(204);
    response.resume();
  });

  test('with an unknown id gets NOT_FOUND once', async () => {
    const server = await startServer();
    const url = await server.listener.listen();
    const text = await readText(await get(followUrl(url, 'tiny.unknown'), createAgent()));
    expect(text).toContain('NOT_FOUND');
  });

  test('that a server ended because it shuts down continues with another one', async () => {
    const server = await startServer();
    const worker = await startWorker(server.prefix);
    worker.settling.close();
    const id = await enqueue(server, 7);
    const url = await server.listener.listen();
    const response = await get(followUrl(url, id), createAgent());
    await once(response, 'data');
    const drained = server.listener.drain();
    expect(await readText(response)).not.toContain('id: done');
    await drained;
  });
});

test('an instance that has stopped leaves no timer', async () => {
  vi.useFakeTimers();
  try {
    const log = pino({ enabled: false });
    const app = createYoga({ plugins: [useEventStreams({ introspection: true }, log, { ownsRequests: true })] });
    expect(vi.getTimerCount()).toBe(1);
    await app.dispose();
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});
