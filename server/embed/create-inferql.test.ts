import { once } from 'node:events';
import { createServer, type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import type { PredictionState } from '@inferql/queue/contract';
import { connectRedis } from '@inferql/queue/redis/connection';
import { extendSchema, parse } from 'graphql';
import { createClient } from 'graphql-ws';
import { createYoga } from 'graphql-yoga';
import { expect, test, vi } from 'vitest';
import WebSocket from 'ws';
import { jsonRequest, readAnswer, uploadRequest } from '../test/requests.ts';
import { atEnd, CLASSIFY, paint, startWorker, testRedis } from '../test/server-harness.ts';
import { createInferQL } from './create-inferql.ts';
import type { InferQLOptions, PredictionEvent } from './types.ts';

let prefixes = 0;

interface Classified {
  classifyImage: { __typename: string; id: string; code?: string; result?: { labels: { index: number }[] } };
}

function embed(options: InferQLOptions = {}) {
  const prefix = options.prefix ?? `embed${++prefixes}`;
  const inferql = createInferQL({ redisUrl: testRedis().url, prefix, ...options });
  atEnd(() => inferql.stop());
  return { inferql, prefix };
}

async function classify(
  send: (request: Request) => Promise<Response>,
  red: number,
  {
    path = '/graphql',
    headers = {},
    variables = {},
  }: { path?: string; headers?: Record<string, string>; variables?: object } = {},
) {
  const init = uploadRequest(CLASSIFY, [await paint(red)], variables, headers);
  return readAnswer<Classified>(await send(new Request(`http://app.test${path}`, init)));
}

async function listen(listener: RequestListener) {
  const server = createServer(listener).listen(0, '127.0.0.1');
  await once(server, 'listening');
  atEnd(() => {
    server.closeAllConnections();
    server.close();
  });
  return { server, origin: `127.0.0.1:${(server.address() as AddressInfo).port}` };
}

async function collect(events: AsyncIterable<PredictionEvent>): Promise<PredictionEvent[]> {
  const all: PredictionEvent[] = [];
  for await (const event of events) all.push(event);
  return all;
}

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

test('as a listener of node:http it takes uploads, server-sent events and WebSockets', async () => {
  const { inferql, prefix } = embed({ endpoint: '/api/graphql' });
  await startWorker(prefix);
  const { server, origin } = await listen((request, response) => void inferql.node(request, response));
  inferql.attachWebSockets(server);
  const url = `http://${origin}/api/graphql`;
  const { data } = await classify(
    (request) =>
      fetch(url, { method: 'POST', body: request.body, headers: request.headers, duplex: 'half' } as RequestInit),
    77,
  );
  const { id, result } = data!.classifyImage;
  expect(result?.labels[0]?.index).toBe(77);

  const query = `subscription { prediction(id: "${id}") { status } }`;
  const events = await fetch(`${url}?query=${encodeURIComponent(query)}`, { headers: { accept: 'text/event-stream' } });
  expect(await events.text()).toContain('SUCCEEDED');

  const client = createClient({ url: `ws://${origin}/api/graphql`, webSocketImpl: WebSocket, retryAttempts: 0 });
  const results: unknown[] = [];
  for await (const next of client.iterate({ query })) results.push(next.data);
  expect(results).toEqual([{ prediction: { status: 'SUCCEEDED' } }]);
  await client.dispose();
});

test('an event stream leaves its request and the listeners of the host application alone', async () => {
  const seen: string[] = [];
  const { inferql, prefix } = embed({
    plugins: [
      {
        onRequestParse({ serverContext }) {
          const { res } = serverContext as { res?: ServerResponse };
          res?.once('close', () => seen.push('close in a plugin'));
        },
      },
    ],
  });
  await startWorker(prefix);
  const { data } = await classify(inferql.fetch, 12);
  const { server, origin } = await listen((request, response) => void inferql.node(request, response));
  const closed = new Promise<void>((resolve) => {
    server.prependListener('request', (request: IncomingMessage, response: ServerResponse) => {
      response.once('finish', () => seen.push(`finish of ${request.method}`));
      response.once('close', () => {
        seen.push(`close of ${request.url?.slice(0, 8)} for ${request.headers.accept}`);
        resolve();
      });
    });
  });
  const query = encodeURIComponent(`subscription { prediction(id: "${data!.classifyImage.id}") { status } }`);
  const events = await fetch(`http://${origin}/graphql?query=${query}`, { headers: { accept: 'text/event-stream' } });
  expect(await events.text()).toContain('SUCCEEDED');
  await closed;
  expect(seen.sort()).toEqual(['close in a plugin', 'close of /graphql for text/event-stream', 'finish of GET']);
});

test('WebSockets of the host application are left alone', async () => {
  const { inferql } = embed({ endpoint: '/api/graphql' });
  const { server, origin } = await listen((_request, response) => void response.end());
  inferql.attachWebSockets(server);
  server.on('upgrade', (request, socket) => {
    if (request.url === '/hmr') socket.end('HTTP/1.1 403 Forbidden\r\nx-from: host\r\n\r\n');
  });
  const socket = new WebSocket(`ws://${origin}/hmr`);
  socket.on('error', () => undefined);
  const [, response] = await once(socket, 'unexpected-response');
  expect(response.headers['x-from']).toBe('host');
});

test('a WebSocket that is reset before the instance is open leaves the host running', async () => {
  const { inferql } = embed({ endpoint: '/api/graphql' });
  const { server, origin } = await listen((_request, response) => void response.end());
  inferql.attachWebSockets(server);
  const client = new WebSocket(`ws://${origin}/api/graphql`);
  const refused = once(client, 'error');
  const [, socket] = (await once(server, 'upgrade')) as [unknown, Socket];
  // As Node reports a reset. Without a listener, this throws: in a real server, nobody catches it.
  expect(() => socket.emit('error', new Error('read ECONNRESET'))).not.toThrow();
  await refused;
  await inferql.start();
  expect(socket.destroyed).toBe(true);
});

test('submit yields the states of a prediction without HTTP, and an unreadable image is an error with a code', async () => {
  const { inferql, prefix } = embed();
  await startWorker(prefix);
  const events = await collect(inferql.submit(await paint(33), { topK: 2 }));
  expect(events.at(-1)).toMatchObject({ status: 'SUCCEEDED', result: { labels: [{ index: 33 }, { index: 34 }] } });
  await expect(collect(inferql.submit(Buffer.from('not an image')))).rejects.toMatchObject({
    code: 'UNSUPPORTED_FORMAT',
  });
});

test('aborting a submission cancels its prediction', async () => {
  const { inferql, prefix } = embed();
  await startWorker(prefix, {}, { idle: true });
  const abort = new AbortController();
  let id = '';
  const run = (async () => {
    for await (const event of inferql.submit(await paint(9), { signal: abort.signal })) {
      id = event.id;
      abort.abort(new Error('enough'));
    }
  })();
  await expect(run).rejects.toThrow('enough');
  const answer = await readAnswer<{ prediction: { status: string } }>(
    await inferql.fetch(new Request('http://app.test/graphql', jsonRequest(`{ prediction(id: "${id}") { status } }`))),
  );
  expect(answer.data?.prediction.status).toBe('CANCELED');
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

test('a stopped instance says so', async () => {
  const { inferql } = embed();
  await inferql.start();
  await inferql.stop();
  await expect(inferql.fetch(new Request('http://app.test/graphql?query={__typename}'))).rejects.toThrow('was stopped');
});

test('submit applies the limits of the tenant that it is given; without a tenant there are none', async () => {
  const { inferql, prefix } = embed({ tenantLimits: '1images/day' });
  await startWorker(prefix);
  const submit = async (tenant?: string) =>
    collect(inferql.submit(await paint(7), tenant === undefined ? {} : { caller: { tenant } }));
  expect((await submit('alice')).at(-1)).toMatchObject({ status: 'SUCCEEDED' });
  // The image is the same, but embedded servers share and cache work by default: another image is work.
  await expect(collect(inferql.submit(await paint(8), { caller: { tenant: 'alice' } }))).rejects.toMatchObject({
    code: 'RATE_LIMITED',
    retryAfterMs: expect.any(Number),
  });
  expect((await submit('bob')).at(-1)).toMatchObject({ status: 'SUCCEEDED' });
  for (let i = 0; i < 3; i++) expect((await submit()).at(-1)).toMatchObject({ status: 'SUCCEEDED' });
  expect(() => createInferQL({ tenantLimits: 'lots' })).toThrow(/'tenantLimits' is "lots"\. Expected limits such as/);
});
