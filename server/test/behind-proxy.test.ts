/** The documented configurations, with the real proxies. */
import { once } from 'node:events';
import { type IncomingMessage, request } from 'node:http';
import {
  DOCUMENTED_NAME,
  isProxyInstalled,
  type ProxyName,
  REVERSE_PROXIES,
  readDocumentedProxy,
  startReverseProxy,
} from '@inferql/testing/network/reverse-proxy';
import { describe, expect, test } from 'vitest';
import WebSocket from 'ws';
import { uploadRequest } from './requests.ts';
import { atEnd, CLASSIFY, paint, startServer, startWorker } from './server-harness.ts';
import { enqueue } from './subscriptions.ts';

const PLAIN_NGINX = 'server { listen 80; location / { proxy_pass http://127.0.0.1:4000; } }';

/** Caddy's default; Traefik's is 90 s. */
const LONGEST_IDLE_SECONDS = 120;

async function startBehind(proxy: ProxyName, configuration: string, env: Record<string, string>) {
  const server = await startServer({ env });
  const worker = await startWorker(server.prefix);
  const { url, close } = await startReverseProxy(proxy, configuration, await server.listener.listen(), server.stateDir);
  atEnd(close);
  return { server, worker, url };
}

/** Opens a WebSocket like a browser whose page has this origin. Returns its close or failure. */
async function openWebSocket(url: string, origin: string): Promise<'open' | string> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
    origin,
    headers: { host: new URL(origin).host },
  });
  atEnd(() => socket.terminate());
  return once(socket, 'open').then(
    () => 'open',
    (error: Error) => error.message,
  );
}

/** The first event of a subscription that continues: it must arrive before the stream ends. */
async function readFirstEvent(url: string, id: string): Promise<string> {
  const query = encodeURIComponent(`subscription { prediction(id: "${id}") { status } }`);
  const outgoing = request(`${url}/graphql?query=${query}`, { headers: { accept: 'text/event-stream' } }).end();
  const [response] = await once(outgoing, 'response');
  let text = '';
  // Not one listener per chunk: several chunks that come together would be one.
  for await (const chunk of response as IncomingMessage) {
    text += chunk;
    if (text.includes('"status"')) break;
  }
  outgoing.destroy();
  return text;
}

/** No package manager has traefik. */
const tried = REVERSE_PROXIES.filter((proxy) => proxy !== 'traefik' || isProxyInstalled(proxy));

describe.each(tried)('behind %s as it is documented', (proxy) => {
  const check = test.skipIf(!isProxyInstalled(proxy));

  check(`uploads, events and WebSockets get through (needs ${proxy}, which may not be installed)`, async () => {
    const { server, worker, url } = await startBehind(proxy, readDocumentedProxy(proxy), {
      INFERQL_TRUST_PROXY: 'loopback',
    });
    // More than the 1 MB that proxies allow by default.
    const image = Buffer.concat([await paint(200), Buffer.alloc(3_000_000)]);
    const answer = await fetch(`${url}/graphql`, uploadRequest(CLASSIFY, [image]));
    expect(await answer.json()).toMatchObject({ data: { classifyImage: { status: 'SUCCEEDED' } } });

    worker.settling.close();
    expect(await readFirstEvent(url, await enqueue(server, 7))).toContain('data:');

    expect(await openWebSocket(url, url)).toBe('open');
    expect(await openWebSocket(url, `http://${DOCUMENTED_NAME}`)).toBe('open');
  });

  check(`another page's WebSocket does not (needs ${proxy}, which may not be installed)`, async () => {
    const { url } = await startBehind(proxy, readDocumentedProxy(proxy), { INFERQL_TRUST_PROXY: 'loopback' });
    const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
      origin: 'http://evil.test',
    });
    expect(String((await once(socket, 'error'))[0])).toContain('403');
  });
});

test.skipIf(!isProxyInstalled('nginx'))(
  'with no more than proxy_pass, all but WebSockets works (needs nginx, which may not be installed)',
  async () => {
    const { server, worker, url } = await startBehind('nginx', PLAIN_NGINX, {});
    const answer = await fetch(`${url}/graphql`, uploadRequest(CLASSIFY, [await paint(200)]));
    expect(await answer.json()).toMatchObject({ data: { classifyImage: { status: 'SUCCEEDED' } } });
    worker.settling.close();
    expect(await readFirstEvent(url, await enqueue(server, 7))).toContain('data:');
    // Refused at once, so that a client can fall back.
    expect(await openWebSocket(url, url)).toContain('426');
  },
);

test('idle connections are kept longer than proxies keep theirs, which would use one while the server closes it', async () => {
  const server = await startServer();
  const { headers } = await fetch(`${await server.listener.listen()}/health/live`);
  const [, seconds] = /timeout=(\d+)/.exec(headers.get('keep-alive')!)!;
  expect(Number(seconds)).toBeGreaterThan(LONGEST_IDLE_SECONDS);
});

test('every run names the proxies that it skipped', () => {
  for (const proxy of REVERSE_PROXIES) {
    if (!isProxyInstalled(proxy)) console.warn(`${proxy} is not installed: its documented configuration was not tried`);
    expect(readDocumentedProxy(proxy)).toContain('127.0.0.1:4000');
  }
});
