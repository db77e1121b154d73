import { once } from 'node:events';
import { expect, onTestFinished, test } from 'vitest';
import { createMemoryBudget, FileStore } from '../uploads/memory-or-disk-store.ts';
import { startDnsServer } from './dns-server.fixture.ts';
import { ImageFetcher, type ImageFetcherOptions } from './image-fetcher.ts';
import { startHost, writeForever } from './image-host.fixture.ts';

const REQUEST = { tenant: 't', signal: undefined };

function startFetcher(options: Partial<ImageFetcherOptions>): ImageFetcher {
  const memory = createMemoryBudget(1_000_000);
  const fetcher = new ImageFetcher({
    imageUrls: 'https',
    imageUrlHosts: [],
    maxUploadBytes: 1_000_000_000,
    openFile: () => new FileStore(memory, '/nowhere'),
    ...options,
  });
  onTestFinished(() => fetcher.close());
  return fetcher;
}

/** Reads from the loopback address, as if an operator had listed it. */
function startListedFetcher(host: string, options: Partial<ImageFetcherOptions> = {}): ImageFetcher {
  const [name = '', port] = host.split(':');
  return startFetcher({ imageUrls: 'allowlist', imageUrlHosts: [{ host: name, port }], ...options });
}

test.each([
  ['a private address', ['10.0.0.1']],
  ['the address of this machine', ['127.0.0.1']],
  ['a public and a private address', ['1.1.1.1', '169.254.169.254']],
  ['no address', []],
])('a host whose name has %s is refused, with the same words', async (_name, addresses) => {
  const nameServer = await startDnsServer(() => addresses);
  onTestFinished(() => nameServer.close());
  const file = startFetcher({ nameServers: [nameServer.address] }).open('https://inner.example/a.jpg', REQUEST);
  await expect(file.arrived()).rejects.toMatchObject({
    code: 'IMAGE_URL_REFUSED',
    message: "The URL's host has no public address.",
  });
  file.release();
  expect(new Set(nameServer.questions)).toEqual(new Set(['inner.example']));
});

test.each(['the caller leaves', 'the image is not needed anymore'])('reading ends when %s', async (why) => {
  let closed: Promise<unknown> | undefined;
  const { host, url } = await startHost((_request, response) => {
    closed = once(response, 'close');
    writeForever(response, 1);
  });
  const memory = createMemoryBudget(1_000_000);
  const openFile = () => new FileStore(memory, '/nowhere');
  const caller = new AbortController();
  // No other limit ends it.
  const fetcher = startListedFetcher(host, { totalMs: 600_000, openFile });
  const file = fetcher.open(url, { ...REQUEST, signal: caller.signal });
  const failure = expect(file.arrived()).rejects.toMatchObject({ code: 'IMAGE_URL_FAILED' });
  await expect.poll(() => memory.heldBytes()).toBeGreaterThan(0);
  if (why === 'the caller leaves') caller.abort();
  else file.release();
  await failure;
  await closed;
  if (why === 'the caller leaves') file.release();
  expect(memory.heldBytes()).toBe(0);
});

test('reading ends after its time, however slowly bytes come', async () => {
  const { host, url } = await startHost((_request, response) => writeForever(response, 1));
  const file = startListedFetcher(host, { totalMs: 300 }).open(url, REQUEST);
  await expect(file.arrived()).rejects.toMatchObject({ code: 'IMAGE_URL_FAILED' });
  file.release();
});

test('an image is read once, whoever waits for it', async () => {
  const { host, url, countConnections } = await startHost((_request, response) => response.end('bytes'));
  const file = startListedFetcher(host).open(url, REQUEST);
  await Promise.all([file.arrived(), file.arrived(), file.readBytes()]);
  expect((await file.readBytes()).toString()).toBe('bytes');
  expect(countConnections()).toBe(1);
  file.release();
});

test('three redirects are followed, and no more', async () => {
  const { host, url } = await startHost((request, response) => {
    const left = Number(request.url!.slice(1));
    if (left === 0) response.end('bytes');
    else response.writeHead(302, { location: `/${left - 1}` }).end();
  });
  const fetcher = startListedFetcher(host);
  expect(String(await fetcher.open(`${url}/3`, REQUEST).readBytes())).toBe('bytes');
  await expect(fetcher.open(`${url}/4`, REQUEST).readBytes()).rejects.toMatchObject({ code: 'IMAGE_URL_FAILED' });
});

test('the endless body of a redirect or a refusal is not read', async () => {
  const closed: Promise<unknown>[] = [];
  const { host, url } = await startHost((request, response) => {
    closed.push(once(response, 'close'));
    if (request.url === '/moved') response.writeHead(302, { location: '/missing' });
    else response.writeHead(404);
    writeForever(response);
  });
  const file = startListedFetcher(host).open(`${url}/moved`, REQUEST);
  await expect(file.arrived()).rejects.toMatchObject({ code: 'IMAGE_URL_FAILED' });
  expect(closed).toHaveLength(2);
  await Promise.all(closed);
  file.release();
});
