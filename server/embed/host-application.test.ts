/** The embedded server as a part of an HTTP server that is not its own. */
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { createClient } from 'graphql-ws';
import { expect, test } from 'vitest';
import WebSocket from 'ws';
import { startWorker } from '../test/server-harness.ts';
import { classify, embed, listen } from './embed.fixture.ts';

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
