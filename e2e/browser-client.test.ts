/** The typed client in a browser, on a page of another origin than the server's. */
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { createClient, Prediction } from '@inferql/client';
import { projectDir } from '@inferql/testing/build';
import { expectedClass, makePicture } from '@inferql/testing/data/test-images';
import { launchBrowser, openPage } from '@inferql/testing/page/browser';
import { scriptedModel, startSystem, type TestSystem } from '@inferql/testing/system/system';
import type { Browser, Page } from 'playwright-core';
import { build } from 'vite';
import { afterAll, beforeAll, expect, test } from 'vitest';

/** What the page of the test holds in its `window`. */
interface Holder {
  create: typeof createClient;
  client: ReturnType<typeof createClient>;
  toFile(bytes: number[]): File;
}

let dir: string;
let pages: Server;
let system: TestSystem;
let browser: Browser;
let page: Page;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'inferql-browser-client-'));
  await build({
    root: projectDir,
    configFile: false,
    logLevel: 'error',
    build: {
      lib: { entry: join(projectDir, 'client/index.ts'), formats: ['es'], fileName: 'client' },
      outDir: dir,
      copyPublicDir: false,
    },
  });
  const code = await readFile(join(dir, 'client.js'), 'utf8');
  pages = createServer(({ url }, response) => {
    const isCode = url === '/client.js';
    response.setHeader('content-type', isCode ? 'text/javascript' : 'text/html');
    response.end(isCode ? code : '<!doctype html><link rel="icon" href="data:,"><title>A page of somebody</title>');
  }).listen(0, '127.0.0.1');
  await once(pages, 'listening');
  const address = `http://127.0.0.1:${(pages.address() as AddressInfo).port}/`;
  system = await startSystem({
    models: [scriptedModel({ script: { waitMsPerImage: 30 } })],
    env: { INFERQL_CORS_ORIGINS: new URL(address).origin },
  });
  browser = await launchBrowser();
  ({ page } = await openPage(browser, address));
  await page.evaluate(
    `import('/client.js').then(({ createClient }) => {
      window.create = createClient;
      window.client = createClient({ url: ${JSON.stringify(system.url)} });
      window.toFile = (bytes) => new File([new Uint8Array(bytes)], 'photo.png', { type: 'image/png' });
    })`,
  );
});

afterAll(async () => {
  await browser?.close();
  await system?.end();
  pages?.close();
  await rm(dir, { recursive: true, force: true });
});

test('a file is classified, watched and read', async () => {
  const seen = await page.evaluate(
    async (bytes) => {
      const { client, toFile } = window as unknown as Holder;
      const states: Prediction[] = [];
      const prediction = await client.classify(toFile(bytes), { topK: 2, onState: (state) => states.push(state) });
      const models = await client.models();
      return { prediction, last: states.at(-1), models: models.map(({ name }) => name) };
    },
    [...makePicture(1)],
  );
  expect(seen.prediction.result.labels).toMatchObject([{ name: `class ${expectedClass(1)}` }, {}]);
  expect(seen.last).toEqual(seen.prediction);
  expect(seen.models).toEqual(['scripted']);
});

test('errors have codes', async () => {
  const refusal = await page.evaluate(async () => {
    const { client, toFile } = window as unknown as Holder;
    return client.classify(toFile([1, 2, 3])).catch((error) => `${error.name} ${error.code}`);
  });
  expect(refusal).toBe('InferqlError UNSUPPORTED_FORMAT');
});

test('an abort cancels on the server', async () => {
  system.workers[0]!.pause();
  const seen = await page.evaluate(
    async (bytes) => {
      const { client, toFile } = window as unknown as Holder;
      const abort = new AbortController();
      let id = '';
      const onState = (state: Prediction) => {
        id = state.id;
        abort.abort();
      };
      const reason = await client.classify(toFile(bytes), { signal: abort.signal, onState }).catch(({ name }) => name);
      // The client waits at most two seconds for the server to take note.
      let status: string | undefined;
      do status = (await client.prediction(id))?.status;
      while (status === 'QUEUED');
      return { reason, status };
    },
    [...makePicture(100)],
  );
  system.workers[0]!.resume();
  expect(seen).toEqual({ reason: 'AbortError', status: 'CANCELED' });
});

test('open predictions survive a restart of the server', async () => {
  const classified = page.evaluate(
    async (pictures) => {
      const { client, toFile } = window as unknown as Holder;
      const outcomes = await client.classifyAll(pictures.map(toFile), { concurrency: 4 });
      return outcomes.map(({ prediction, error }) => prediction?.result.labels[0]?.name ?? error?.code);
    },
    Array.from({ length: 20 }, (_, i) => [...makePicture(200 + i)]),
  );
  await system.servers[0]!.restart();
  expect(await classified).toEqual(Array.from({ length: 20 }, (_, i) => `class ${expectedClass(200 + i)}`));
});

test('a page of a refused origin learns so at once, and which setting to change', async () => {
  const { port } = pages.address() as AddressInfo;
  const { page: foreign } = await openPage(browser, `http://localhost:${port}/`);
  const refusal = await foreign.evaluate(
    `import('/client.js').then(({ createClient }) =>
      createClient({ url: ${JSON.stringify(system.url)}, retryForMs: 600_000 }).models().then(
        () => 'allowed',
        ({ code, message }) => code + ' ' + message,
      ))`,
  );
  expect(refusal).toBe(
    `BAD_RESPONSE ${system.url} does not accept requests from pages of http://localhost:${port}. Add this origin to the server's INFERQL_CORS_ORIGINS.`,
  );
  await foreign.close();
});

test('many predictions share one WebSocket, and an upload reports its progress', async () => {
  const sockets: string[] = [];
  page.on('websocket', (socket) => sockets.push(socket.url()));
  const seen = await page.evaluate(
    async ({ url, pictures }) => {
      const { create } = window as unknown as Holder;
      const connections: string[] = [];
      const client = create({
        url,
        subscriptions: 'shared',
        maxUploads: 2,
        onConnection: (connection) => connections.push(connection),
      });
      const shares: number[] = [];
      const { toFile } = window as unknown as Holder;
      const labels = await Promise.all(
        pictures.map(async (bytes, index) => {
          const onUploadProgress = index === 0 ? (share: number) => void shares.push(share) : () => {};
          const { id } = await client.submit(toFile(bytes), { onUploadProgress });
          let label: string | undefined;
          for await (const { result } of client.watch(id)) label = result?.labels[0]?.name;
          return label;
        }),
      );
      return { labels, shares, connections };
    },
    { url: system.url, pictures: Array.from({ length: 12 }, (_, i) => [...makePicture(300 + i)]) },
  );
  expect(seen.labels).toEqual(Array.from({ length: 12 }, (_, i) => `class ${expectedClass(300 + i)}`));
  expect(seen.shares.at(0)).toBe(0);
  expect(seen.shares.at(-1)).toBe(1);
  expect(seen.connections.slice(0, 2)).toEqual(['connecting', 'websocket']);
  expect(sockets).toHaveLength(1);
});
