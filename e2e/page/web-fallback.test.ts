/** The page behind proxies that pass no WebSocket, and that hold event streams back. */
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { findAccessibilityFaults, findCard, openPage } from '@inferql/testing/page/browser';
import { choose, findLabel, makePictures } from '@inferql/testing/page/page-cards';
import { setUpPage } from '@inferql/testing/page/page-fixture';
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';

const site = setUpPage();

interface Proxy {
  url: string;
  /** How many event streams are open now, and how many were at most. */
  streams: { open: number; most: number };
  /** From now on WebSockets get through. */
  passUpgrades(): void;
  close(): Promise<void>;
}

interface ProxyOptions {
  /** The answer to a WebSocket. */
  status: number;
  /** Hands event streams over when they have ended. */
  buffers: boolean;
}

async function startProxy({ status, buffers }: ProxyOptions): Promise<Proxy> {
  const streams = { open: 0, most: 0 };
  let passesUpgrades = false;
  const forward = (incoming: IncomingMessage) =>
    request(new URL(incoming.url!, site.system.url), { method: incoming.method, headers: incoming.headers });

  const server: Server = createServer((incoming, response) => {
    const outgoing = forward(incoming);
    const isStream = incoming.headers.accept === 'text/event-stream';
    if (isStream) {
      streams.open++;
      streams.most = Math.max(streams.most, streams.open);
    }
    outgoing.on('response', (answer) => {
      answer.on('error', () => response.destroy());
      if (buffers && isStream) passAtEnd(answer, response);
      else answer.pipe(response.writeHead(answer.statusCode!, answer.headers));
    });
    outgoing.on('error', () => response.destroy());
    response.on('close', () => {
      if (isStream) streams.open--;
      outgoing.destroy();
    });
    incoming.pipe(outgoing);
  });
  server.on('upgrade', (incoming, socket) => {
    socket.on('error', () => socket.destroy());
    if (!passesUpgrades) {
      socket.end(`HTTP/1.1 ${status} Refused\r\ncontent-length: 0\r\nconnection: close\r\n\r\n`);
      return;
    }
    const outgoing = forward(incoming).end();
    outgoing.on('error', () => socket.destroy());
    outgoing.on('upgrade', ({ rawHeaders }, upstream) => {
      const lines = rawHeaders.flatMap((name, index) => (index % 2 ? [] : `${name}: ${rawHeaders[index + 1]}`));
      socket.write(`HTTP/1.1 101 Switching Protocols\r\n${lines.join('\r\n')}\r\n\r\n`);
      upstream.on('error', () => socket.destroy());
      upstream.on('close', () => socket.destroy());
      socket.on('close', () => upstream.destroy());
      socket.pipe(upstream).pipe(socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    streams,
    passUpgrades() {
      passesUpgrades = true;
    },
    close() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

function passAtEnd(answer: IncomingMessage, response: ServerResponse): void {
  const chunks: Buffer[] = [];
  answer.on('data', (chunk: Buffer) => chunks.push(chunk));
  answer.on('end', () => response.writeHead(answer.statusCode!, answer.headers).end(Buffer.concat(chunks)));
}

async function behindProxy(options: ProxyOptions, use: (page: Page, proxy: Proxy) => Promise<void>): Promise<void> {
  const proxy = await startProxy(options);
  const watched = await openPage(site.browser, proxy.url);
  try {
    await use(watched.page, proxy);
    expect(watched.complaints).toEqual([]);
  } finally {
    await watched.close();
    await proxy.close();
  }
}

const waitForHeader = (page: Page, words: string) =>
  page.locator('.connection').getByText(words, { exact: true }).waitFor();

async function classifyMany(page: Page): Promise<void> {
  const pictures = makePictures(8);
  site.system.workers[0]!.pause();
  await choose(
    page,
    pictures.map(({ file }) => file),
  );
  for (const { file } of pictures) {
    await findCard(page, file.name)
      .getByText(/in line|ahead/)
      .waitFor();
  }
  site.system.workers[0]!.resume();
  for (const { file, label } of pictures) await findLabel(page, file.name, label).waitFor();
}

test.each([403, 400, 502])(
  'if a proxy answers a WebSocket with %i, event streams take its place, three at most',
  (status) =>
    behindProxy({ status, buffers: false }, async (page, { streams }) => {
      await waitForHeader(page, 'Live (event stream)');
      await page.locator('[data-figure=workers]', { hasText: '1' }).waitFor();
      await classifyMany(page);
      expect(streams.most).toBe(3);
      await waitForHeader(page, 'Live (event stream)');
      expect(await findAccessibilityFaults(page)).toEqual([]);
    }),
);

test('if a proxy also holds event streams back, the page asks every second', () =>
  behindProxy({ status: 403, buffers: true }, async (page, { streams }) => {
    await waitForHeader(page, 'Updating every second');
    await page.locator('[data-figure=workers]', { hasText: '1' }).waitFor();
    await classifyMany(page);
    await expect.poll(() => streams.open).toBe(0);
    await waitForHeader(page, 'Updating every second');
    // The longest text of the header on the narrowest screen.
    await page.setViewportSize({ width: 320, height: 700 });
    expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(320);
    expect(await findAccessibilityFaults(page)).toEqual([]);
  }));

test('an image that is chosen before the page knows that streams are held back gets its labels, too', () =>
  behindProxy({ status: 403, buffers: true }, async (page) => {
    const [picture] = makePictures(1);
    await choose(page, [picture!.file]);
    await findLabel(page, picture!.file.name, picture!.label).waitFor();
    // A stream that ended was handed over; the one of the queue never is.
    await waitForHeader(page, 'Updating every second');
  }));

test('the page returns to a WebSocket that opens later, with an image that waits', () =>
  behindProxy({ status: 403, buffers: false }, async (page, proxy) => {
    const [picture] = makePictures(1);
    await waitForHeader(page, 'Live (event stream)');
    site.system.workers[0]!.pause();
    await choose(page, [picture!.file]);
    const card = findCard(page, picture!.file.name);
    await card.getByText('Next in line').waitFor();
    proxy.passUpgrades();
    await waitForHeader(page, 'Live');
    await expect.poll(() => proxy.streams.open).toBe(0);
    site.system.workers[0]!.resume();
    await findLabel(page, picture!.file.name, picture!.label).waitFor();
  }));
