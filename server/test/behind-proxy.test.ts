/** The documented configurations, with the real proxies. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import WebSocket from 'ws';
import { uploadRequest } from './requests.ts';
import { atEnd, CLASSIFY, paint, startServer, startWorker } from './server-harness.ts';
import { enqueue } from './subscriptions.ts';

const DOCUMENT = readFileSync(new URL('../../docs/behind-a-proxy.md', import.meta.url), 'utf8');
const NAME = 'images.example.com';
const PLAIN_NGINX = 'server { listen 80; location / { proxy_pass http://127.0.0.1:4000; } }';

type Proxy = 'nginx' | 'caddy';

const isInstalled = (proxy: Proxy) => spawnSync(proxy, [proxy === 'nginx' ? '-v' : 'version']).status === 0;

function documented(proxy: Proxy): string {
  return new RegExp(`\`\`\`${proxy}\\n([^]*?)\`\`\``).exec(DOCUMENT)![1]!;
}

async function findPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

/** Starts the proxy in front of the server. Returns its address. */
async function startProxy(proxy: Proxy, configuration: string, serverUrl: string, dir: string): Promise<string> {
  const port = await findPort();
  const ported = configuration.replace('127.0.0.1:4000', new URL(serverUrl).host);
  const file = join(dir, proxy === 'nginx' ? 'nginx.conf' : 'Caddyfile');
  let child: ChildProcess;
  if (proxy === 'nginx') {
    const bodies = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
      (kind) => `${kind}_temp_path ${dir}/${kind};`,
    );
    writeFileSync(
      file,
      `pid ${dir}/nginx.pid; error_log stderr; worker_processes 1; daemon off; ${process.getuid?.() === 0 ? 'user root;' : ''}
      events {} http { access_log off; ${bodies.join(' ')} ${ported.replace('listen 80;', `listen 127.0.0.1:${port};`)} }`,
    );
    child = spawn('nginx', ['-c', file, '-p', dir], { stdio: 'ignore' });
  } else {
    writeFileSync(file, `{\n admin off\n}\n${ported.replace(NAME, `http://:${port}`)}`);
    const env = { ...process.env, XDG_DATA_HOME: dir, XDG_CONFIG_HOME: dir };
    child = spawn('caddy', ['run', '--config', file, '--adapter', 'caddyfile'], { stdio: 'ignore', env });
  }
  const ended = once(child, 'exit');
  atEnd(async () => {
    child.kill('SIGTERM');
    await ended;
  });
  const url = `http://127.0.0.1:${port}`;
  await expect
    .poll(() =>
      fetch(`${url}/health/live`).then(
        ({ status }) => status,
        () => 0,
      ),
    )
    .toBe(200);
  return url;
}

async function startBehind(proxy: Proxy, configuration: string, env: Record<string, string>) {
  const server = await startServer({ env });
  const worker = await startWorker(server.prefix);
  const url = await startProxy(proxy, configuration, await server.listener.listen(), server.stateDir);
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
  while (!text.includes('"status"')) text += String((await once(response, 'data'))[0]);
  outgoing.destroy();
  return text;
}

describe.each<Proxy>(['nginx', 'caddy'])('behind %s as it is documented', (proxy) => {
  const check = test.skipIf(!isInstalled(proxy));

  check(`uploads, events and WebSockets get through (needs ${proxy}, which may not be installed)`, async () => {
    const { server, worker, url } = await startBehind(proxy, documented(proxy), { INFERQL_TRUST_PROXY: 'loopback' });
    // More than the 1 MB that proxies allow by default.
    const image = Buffer.concat([await paint(200), Buffer.alloc(3_000_000)]);
    const answer = await fetch(`${url}/graphql`, uploadRequest(CLASSIFY, [image]));
    expect(await answer.json()).toMatchObject({ data: { classifyImage: { status: 'SUCCEEDED' } } });

    worker.settling.close();
    expect(await readFirstEvent(url, await enqueue(server, 7))).toContain('data:');

    expect(await openWebSocket(url, url)).toBe('open');
    expect(await openWebSocket(url, `http://${NAME}`)).toBe('open');
  });

  check(`another page's WebSocket does not (needs ${proxy}, which may not be installed)`, async () => {
    const { url } = await startBehind(proxy, documented(proxy), { INFERQL_TRUST_PROXY: 'loopback' });
    const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws', {
      origin: 'http://evil.test',
    });
    expect(String((await once(socket, 'error'))[0])).toContain('403');
  });
});

test.skipIf(!isInstalled('nginx'))(
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

test('every run names the proxies that it did without', () => {
  for (const proxy of ['nginx', 'caddy'] as const) {
    if (!isInstalled(proxy)) console.warn(`${proxy} is not installed: its documented configuration was not tried`);
  }
  expect(documented('nginx')).toContain('proxy_pass');
  expect(documented('caddy')).toContain('reverse_proxy');
});
