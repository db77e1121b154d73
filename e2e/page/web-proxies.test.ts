/** The page in Chromium behind real nginx and Caddy: what they answer instead of the server, and what they do not pass on. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isProxyInstalled, type ReverseProxy, startReverseProxy } from '@inferql/testing/network/reverse-proxy';
import { findCard, openPage } from '@inferql/testing/page/browser';
import { choose, findLabel, makePictures } from '@inferql/testing/page/page-cards';
import { setUpPage } from '@inferql/testing/page/page-fixture';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, test } from 'vitest';

/** A cookie chooses what the proxy does, so that one proxy serves all cases and can recover. */
const REFUSALS = [401, 403, 404, 413, 429, 502, 200];
const PORTAL = '<form>Accept the terms</form>';

const NGINX = `
map $cookie_case:$content_type $answer { default ''; ${REFUSALS.map((status) => `~^${status}:multipart ${status};`).join(' ')} }
map $cookie_case:$http_upgrade $socket { default pass; ~^nows:.+ refuse; ~^nosse:.+ refuse; }
map $cookie_case:$http_accept $stream { default pass; ~^nosse:text/event-stream refuse; }
map $http_upgrade $connection_upgrade { default upgrade; '' ''; }
server {
  listen 80;
  default_type text/html;
  client_max_body_size 64k;
  location / {
    ${REFUSALS.map((status) => `if ($answer = ${status}) { ${status === 502 ? 'proxy_pass http://127.0.0.1:1;' : `return ${status}${status === 200 ? ` '${PORTAL}'` : ''};`} }`).join('\n    ')}
    if ($socket = refuse) { return 403; }
    if ($stream = refuse) { return 403; }
    proxy_pass http://127.0.0.1:4000;
    proxy_http_version 1.1;
    proxy_set_header Host $http_host;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $connection_upgrade;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
  }
}`;

const caddyRefusal = (status: number) => `
  @case${status} {
    header Content-Type multipart/*
    header Cookie *case=${status}*
  }
  ${status === 502 ? `reverse_proxy @case502 127.0.0.1:1` : `respond @case${status} "${status === 200 ? PORTAL : `<h1>${status}</h1>`}" ${status}`}`;
const CADDY = `images.example.com {
  ${REFUSALS.map(caddyRefusal).join('')}
  @nosocket {
    header Upgrade *
    header_regexp Cookie case=(nows|nosse)
  }
  respond @nosocket "no" 403
  @nostream {
    header Accept text/event-stream
    header Cookie *case=nosse*
  }
  respond @nostream "no" 403
  @large expression \`{http.request.header.Content-Length} != "" && int({http.request.header.Content-Length}) > 65536\`
  respond @large 413
  reverse_proxy 127.0.0.1:4000
}`;

const COOKIE = {
  name: 'case',
  domain: '127.0.0.1',
  path: '/',
  expires: -1,
  httpOnly: false,
  secure: false,
  sameSite: 'Lax' as const,
};

const site = setUpPage({ env: { INFERQL_TRUST_PROXY: 'loopback' } });
let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'inferql-proxies-'));
  return () => rm(dir, { recursive: true, force: true });
});

describe.each(['nginx', 'caddy'] as const)('behind %s', (name) => {
  const isInstalled = isProxyInstalled(name);
  const check = test.skipIf(!isInstalled);
  if (!isInstalled) console.warn(`${name} is not installed: the page was not tried behind it`);
  let proxy: ReverseProxy | undefined;

  beforeAll(async () => {
    if (isInstalled) proxy = await startReverseProxy(name, name === 'nginx' ? NGINX : CADDY, site.system.url, dir);
  });
  afterAll(() => proxy?.close());

  /** @param choice the case; `reset` ends it */
  async function inCase(choice: string, use: (page: Page, reset: () => Promise<void>) => Promise<void>): Promise<void> {
    const { url } = proxy!;
    const watched = await openPage(site.browser, url, {
      storageState: { cookies: [{ ...COOKIE, value: choice }], origins: [] },
    });
    const reset = () => watched.page.context().addCookies([{ ...COOKIE, value: 'none' }]);
    try {
      await use(watched.page, reset);
    } finally {
      await watched.close();
    }
  }

  check.each([
    [401, 'Sign in first'],
    [403, 'The request was blocked'],
    [404, 'The request was blocked'],
    [413, 'This upload is too large for the server'],
  ])('its refusal with %i is final and explained, and does not hold up other images', (status, words) =>
    inCase(String(status), async (page, reset) => {
      const [refused, other] = makePictures(2);
      await choose(page, [refused!.file]);
      await findCard(page, refused!.file.name).getByText(words).waitFor();
      await reset();
      await choose(page, [other!.file]);
      await findLabel(page, other!.file.name, other!.label).waitFor();
      await findCard(page, refused!.file.name).getByRole('button', { name: 'Try again' }).click();
      await findLabel(page, refused!.file.name, refused!.label).waitFor();
    }),
  );

  check('a body beyond its limit gets its 413, which is final and explained', () =>
    inCase('none', async (page) => {
      const [large, small] = makePictures(2);
      const file = { ...large!.file, buffer: Buffer.concat([large!.file.buffer, Buffer.alloc(100_000, 1)]) };
      await choose(page, [file]);
      await findCard(page, file.name).getByText('This upload is too large for the server').waitFor();
      await choose(page, [small!.file]);
      await findLabel(page, small!.file.name, small!.label).waitFor();
    }),
  );

  check.each([
    // A proxy that closes while the file is still being sent looks unreachable to the browser.
    [429, /Too many requests|cannot be reached/],
    [502, /The server cannot be reached/],
    [200, /Unexpected response/],
  ])('its %i passes: the image is sent again and gets its labels', (status, words) =>
    inCase(String(status), async (page, reset) => {
      const [picture] = makePictures(1);
      await choose(page, [picture!.file]);
      await findCard(page, picture!.file.name).getByText(words).waitFor();
      await reset();
      await findLabel(page, picture!.file.name, picture!.label).waitFor();
    }),
  );

  check.each([
    ['none', 'Live'],
    ['nows', 'Live (event stream)'],
    ['nosse', 'Updating every second'],
  ])('if it passes %s, the header says "%s", and labels come', (choice, words) =>
    inCase(choice, async (page) => {
      await page.locator('.connection').getByText(words, { exact: true }).waitFor();
      const pictures = makePictures(3);
      await choose(
        page,
        pictures.map(({ file }) => file),
      );
      for (const { file, label } of pictures) await findLabel(page, file.name, label).waitFor();
    }),
  );
});
