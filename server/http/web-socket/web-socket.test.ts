import { once } from 'node:events';
import { connect as connectSocket } from 'node:net';
import { type Client, createClient } from 'graphql-ws';
import { describe, expect, test } from 'vitest';
import WebSocket from 'ws';
import { atEnd, paint, type Server, startServer, startWorker } from '../../test/server-harness.ts';
import { collect, enqueue, type StreamedAnswer, WATCH } from '../../test/subscriptions.ts';

describe('over WebSocket', () => {
  async function connect(server: Server, options: { origin?: string } = {}): Promise<{ client: Client; url: string }> {
    const url = (await server.listener.listen()).replace('http', 'ws');
    class Socket extends WebSocket {
      constructor(address: string, protocols?: string | string[]) {
        super(address, protocols, options.origin ? { origin: options.origin } : {});
      }
    }
    const client = createClient({ url: `${url}/graphql`, webSocketImpl: Socket, retryAttempts: 0 });
    atEnd(() => client.dispose());
    return { client, url };
  }

  /** Watches a prediction that stays PROCESSING until `worker.settling` opens. */
  async function followHeld(red: number) {
    const server = await startServer();
    const worker = await startWorker(server.prefix);
    worker.settling.close();
    const { client } = await connect(server);
    const id = await enqueue(server, red);
    const events = client.iterate({ query: WATCH, variables: { id } }) as AsyncIterableIterator<StreamedAnswer>;
    return { server, worker, id, events };
  }

  test('a subscription agrees with the query', async () => {
    const { server, worker, id, events } = await followHeld(60);
    const first = (await events.next()).value as StreamedAnswer;
    expect(first.data!.prediction.id).toBe(id);
    worker.settling.open();
    const all = [first, ...(await collect(events))];
    const { data } = await server.query<StreamedAnswer['data'] & object>(WATCH.replace('subscription', 'query'), {
      id,
    });
    expect(all.at(-1)!.data!.prediction).toEqual(data.prediction);
  });

  test('an unknown id is NOT_FOUND, a bad document an error, and the connection stays open', async () => {
    const server = await startServer();
    await startWorker(server.prefix);
    const { client } = await connect(server);
    const [event] = await collect(
      client.iterate({ query: WATCH, variables: { id: 'nothing' } }) as AsyncIterable<StreamedAnswer>,
    );
    expect(event!.errors![0]!.extensions!.code).toBe('NOT_FOUND');
    await expect(
      collect(client.iterate({ query: '{ nothing }' }) as AsyncIterable<StreamedAnswer>),
    ).rejects.toBeDefined();
    await expect(collect(client.iterate({ query: '{{{' }) as AsyncIterable<StreamedAnswer>)).rejects.toBeDefined();
    const [models] = await collect(client.iterate({ query: '{ models { name } }' }) as AsyncIterable<StreamedAnswer>);
    expect(models).toMatchObject({ data: { models: [{ name: 'tiny' }] } });
  });

  test('QUEUE_FULL and similar errors carry retryAfterMs and nothing of HTTP', async () => {
    const server = await startServer();
    const { client } = await connect(server);
    const [event] = await collect(
      client.iterate({ query: 'subscription { queue(model: "none") { waiting } }' }) as AsyncIterable<StreamedAnswer>,
    );
    expect(event!.errors![0]!.extensions).toEqual({ code: 'MODEL_NOT_FOUND' });
  });

  test('errors of a document have the codes of HTTP, and nothing else of it', async () => {
    const { client } = await connect(await startServer());
    for (const [query, code] of [
      ['{ nope }', 'GRAPHQL_VALIDATION_FAILED'],
      ['{', 'GRAPHQL_PARSE_FAILED'],
      ['query A { __typename } query B { __typename }', 'OPERATION_RESOLUTION_FAILURE'],
    ] as const) {
      const refused = await collect(client.iterate({ query }) as AsyncIterable<StreamedAnswer>).catch(
        (errors) => errors,
      );
      expect(refused).toMatchObject([{ extensions: { code } }]);
      expect(refused[0].extensions).toEqual({ code });
    }
  });

  test('a draining server closes with 1012', async () => {
    const { server, events } = await followHeld(61);
    await events.next();
    const ended = collect(events);
    const drained = server.listener.drain();
    await expect(ended).rejects.toMatchObject({ code: 1012 });
    await drained;
  });

  test('a mutation that waits gets its result from a draining server, and only then is its connection closed', async () => {
    const server = await startServer({ env: { INFERQL_DRAIN_MS: '60000' } });
    const worker = await startWorker(server.prefix);
    worker.settling.close();
    const { client } = await connect(server);
    const image = `data:image/png;base64,${(await paint(62)).toString('base64')}`;
    const query = `mutation { classifyImage(source: { dataUrl: "${image}" }) { ... on Prediction { status result { labels(topK: 1) { index } } } } }`;
    const answer = client.iterate({ query });
    const answered = answer.next();
    await server.queueBecame(({ processing }) => processing === 1);
    const open = (text: string) => client.iterate({ query: text }) as AsyncIterableIterator<StreamedAnswer>;
    const subscription = open('subscription { queue { waiting } }');
    await subscription.next();
    const drained = server.listener.drain();
    expect((await collect(subscription)).at(-1)!.errors![0]!.extensions!.code).toBe('UNAVAILABLE');
    await expect(collect(open('{ models { name } }'))).rejects.toMatchObject([{ extensions: { code: 'UNAVAILABLE' } }]);
    worker.settling.open();
    expect((await answered).value).toEqual({
      data: { classifyImage: { status: 'SUCCEEDED', result: { labels: [{ index: 62 }] } } },
    });
    await drained;
  });

  test('a connection with many subscriptions gets no listener for each of them when the server drains', async () => {
    const server = await startServer();
    await startWorker(server.prefix);
    const warnings: string[] = [];
    const onWarning = ({ message }: Error) => void warnings.push(message);
    process.on('warning', onWarning);
    atEnd(() => void process.off('warning', onWarning));
    const { client } = await connect(server);
    const subscriptions = Array.from({ length: 20 }, () =>
      client.iterate({ query: 'subscription { queue { waiting } }' }),
    );
    await Promise.all(subscriptions.map((one) => one.next()));
    const ended = Promise.allSettled(subscriptions.map((one) => collect(one as AsyncIterableIterator<StreamedAnswer>)));
    await server.listener.drain();
    await ended;
    expect(warnings).toEqual([]);
  });

  test('a client that answers that with an invalid frame does not keep the server from ending', async () => {
    const server = await startServer();
    const { port } = new URL(await server.listener.listen());
    const socket = connectSocket(Number(port), '127.0.0.1').on('error', () => undefined);
    atEnd(() => void socket.destroy());
    socket.write(
      'GET /graphql HTTP/1.1\r\nhost: localhost\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: graphql-transport-ws\r\n\r\n',
    );
    await once(socket, 'data');
    // An opcode that does not exist.
    socket.on('data', () => socket.write(Buffer.from('838000000000', 'hex')));
    await server.listener.drain();
  });

  test.each([
    ['another page', 'http://evil.test', false],
    ['an allowed page', 'http://friend.test', true],
  ])('the upgrade from %s', async (_name, origin, allowed) => {
    const server = await startServer({ env: { INFERQL_CORS_ORIGINS: 'http://friend.test' } });
    const url = (await server.listener.listen()).replace('http', 'ws');
    const socket = new WebSocket(`${url}/graphql`, 'graphql-transport-ws', { origin });
    atEnd(() => socket.terminate());
    if (allowed) await once(socket, 'open');
    else expect(String((await once(socket, 'error'))[0])).toContain('403');
  });

  test.each([
    ['a foreign name', 'evil.test', 421],
    ['an invalid name', 'a b', 400],
  ])('with %s in the Host header is refused as over HTTP', async (_name, host, status) => {
    const server = await startServer();
    const { port } = new URL(await server.listener.listen());
    const socket = connectSocket(Number(port), '127.0.0.1').on('error', () => undefined);
    atEnd(() => void socket.destroy());
    socket.write(
      `GET /graphql HTTP/1.1\r\nhost: ${host}\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nsec-websocket-protocol: graphql-transport-ws\r\n\r\n`,
    );
    expect(String((await once(socket, 'data'))[0])).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
  });

  test("from the server's page is accepted, to another path it is 404", async () => {
    const server = await startServer();
    const url = (await server.listener.listen()).replace('http', 'ws');
    const own = new WebSocket(`${url}/graphql`, 'graphql-transport-ws', { origin: url.replace('ws', 'http') });
    await once(own, 'open');
    own.terminate();
    const lost = new WebSocket(`${url}/elsewhere`, 'graphql-transport-ws');
    expect(String((await once(lost, 'error'))[0])).toContain('404');
  });
});

describe('one connection', () => {
  /** A bare WebSocket that was accepted, and the messages it received. */
  async function openRaw(server: Awaited<ReturnType<typeof startServer>>) {
    const url = (await server.listener.listen()).replace('http', 'ws');
    const socket = new WebSocket(`${url}/graphql`, 'graphql-transport-ws');
    atEnd(() => socket.terminate());
    const messages: { type: string; id?: string; payload?: unknown }[] = [];
    socket.on('message', (data) => messages.push(JSON.parse(String(data))));
    await once(socket, 'open');
    socket.send(JSON.stringify({ type: 'connection_init' }));
    await once(socket, 'message');
    return { socket, messages };
  }

  test('has a limit on subscriptions: the next one is a typed error until some have ended', async () => {
    const server = await startServer({ env: { INFERQL_MAX_SUBSCRIPTIONS_PER_CONNECTION: '5' } });
    await startWorker(server.prefix);
    const { socket, messages } = await openRaw(server);
    const subscribe = (id: string) =>
      socket.send(JSON.stringify({ id, type: 'subscribe', payload: { query: 'subscription { queue { waiting } }' } }));
    const of = (id: string) => messages.find((message) => message.id === id);
    for (let i = 1; i <= 6; i++) subscribe(`${i}`);
    while (!of('6') || !of('5')) await once(socket, 'message');
    expect(of('5')).toMatchObject({ type: 'next' });
    expect(of('6')).toMatchObject({ type: 'error', payload: [{ extensions: { code: 'RATE_LIMITED' } }] });
    socket.send(JSON.stringify({ id: '1', type: 'complete' }));
    subscribe('7');
    while (!of('7')) await once(socket, 'message');
    expect(of('7')).toMatchObject({ type: 'next' });
  });

  test.each([
    ['no JSON', 'x', 4400],
    ['another message than the protocol knows', '{"type":"wonder"}', 4400],
    ['a second init', '{"type":"connection_init"}', 4429],
    ['what only a server may send', '{"id":"1","type":"next","payload":{}}', 4400],
    [
      'a payload too deep to be returned',
      `{"type":"ping","payload":{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}}`,
      4400,
    ],
    ['a frame over the limit', 'x'.repeat(300_000), 1009],
  ])('that sends %s is closed with a code, and no internals', async (_name, data, code) => {
    const server = await startServer();
    const { socket } = await openRaw(server);
    socket.send(data);
    const [closedWith, reason] = (await once(socket, 'close')) as [number, Buffer];
    expect(closedWith).toBe(code);
    expect(String(reason)).not.toMatch(/JSON|position|token/);
  });

  test('that uses a long id twice is closed with the code for it', async () => {
    const server = await startServer();
    await startWorker(server.prefix);
    const { socket } = await openRaw(server);
    const payload = { query: 'subscription { queue { waiting } }' };
    for (let i = 0; i < 2; i++) socket.send(JSON.stringify({ id: 'é'.repeat(5_000), type: 'subscribe', payload }));
    expect((await once(socket, 'close'))[0]).toBe(4409);
  });
});
