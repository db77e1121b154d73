import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import axe from 'axe-core';
import { type Browser, type BrowserContextOptions, chromium, type Locator, type Page } from 'playwright-core';
import { projectDir } from '../build.ts';

const DISABLED_FEATURES = [
  // Chromium prepares the web page of its address bar for each context, and a process for the next page: half of the CPU time of short tests.
  'WebUIOmniboxPopup',
  'WebUIOmniboxAimPopup',
  'SpareRendererForSitePerProcess',
  // This list replaces that of Playwright, so what concerns loopback pages is repeated.
  'AvoidUnnecessaryBeforeUnloadCheckSync',
  'DestroyProfileOnBrowserClose',
  'HttpsUpgrades',
  'HttpsFirstBalancedModeAutoEnable',
  'LensOverlay',
  'MediaRouter',
  'PaintHolding',
  'ThirdPartyStoragePartitioning',
  'AvoidCorsURLLoaderRestartOnRedirect',
  'OptimizationHints',
  'NetworkTimeServiceQuerying',
  'AimEnabled',
  'PreconnectToSearch',
];
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  `--disable-features=${DISABLED_FEATURES.join(',')}`,
  // A camera with a test picture, and permission to use it.
  '--use-fake-device-for-media-stream',
  '--use-fake-ui-for-media-stream',
];

/** Only bounds a page that hangs: the longest wait of the client before it tries a WebSocket again is a minute. */
export const PAGE_TIMEOUT_MS = 90_000;

/** Chromium without a window: INFERQL_CHROMIUM, else the system's. */
export function launchBrowser(): Promise<Browser> {
  const executablePath = process.env.INFERQL_CHROMIUM ?? '/usr/bin/chromium';
  return chromium.launch({ executablePath, args: FLAGS, timeout: PAGE_TIMEOUT_MS });
}

/** A page and its problems: exceptions, console errors, requests to other hosts. */
export interface WatchedPage {
  page: Page;
  complaints: string[];
  close(): Promise<void>;
}

/** Opens an address in a separate context, so that nothing is shared with other pages. */
export async function openPage(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<WatchedPage> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  context.setDefaultTimeout(PAGE_TIMEOUT_MS);
  const page = await context.newPage();
  const complaints: string[] = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    // A server that a test has ended is not a problem.
    const isExpected = /ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|WebSocket|status of 503/.test(
      message.text(),
    );
    if (message.type() === 'error' && !isExpected) complaints.push(message.text());
    // A server that is killed cuts the answers that it is sending, and then refuses connections. Otherwise a cut answer is a fault.
    if (!message.text().includes('ERR_CONNECTION_REFUSED')) return;
    const others = complaints.filter(
      (text) => !/ERR_CONTENT_LENGTH_MISMATCH|ERR_INCOMPLETE_CHUNKED_ENCODING/.test(text),
    );
    complaints.splice(0, complaints.length, ...others);
  });
  page.on('request', (request) => {
    const { protocol, origin } = new URL(request.url());
    if (protocol.startsWith('http') && origin !== new URL(url).origin) complaints.push(`asked ${request.url()}`);
  });
  await page.goto(url);
  return {
    page,
    complaints,
    async close() {
      // A request that a test holds, or is about to pass on, would fail with the page.
      await page.unrouteAll({ behavior: 'ignoreErrors' });
      await context.close();
    },
  };
}

/** The card of a file. */
export function findCard(page: Page, name: string): Locator {
  return page.getByRole('article', { name, exact: true });
}

/** Resolves once the browser keeps small copies of this many images; they are made in the background. */
export async function waitForThumbnails(page: Page, count: number): Promise<void> {
  await page.waitForFunction(
    (wanted) => Object.keys(localStorage).filter((key) => key.startsWith('inferql.thumbnail.')).length >= wanted,
    count,
  );
}

/** Problems that axe finds on the page, or in a selector's elements, as readable lines. */
export async function findAccessibilityFaults(page: Page, within = 'html'): Promise<string[]> {
  await page.evaluate(axe.source);
  // Colors in the middle of a fade do not count. A fade of an element that goes is canceled.
  await page.evaluate(
    'Promise.all(document.getAnimations().filter((a) => a.effect.getTiming().iterations === 1).map((a) => a.finished.catch(() => {})))',
  );
  return page.evaluate(`axe.run(${JSON.stringify(within)}, { resultTypes: ['violations'] }).then(({ violations }) =>
    violations.flatMap(({ id, nodes }) => nodes.map(({ html, failureSummary }) => id + ': ' + html + ' ' + failureSummary)))`);
}

/** Saves a screenshot of the page among the tests' artifacts. */
export async function keepScreenshot(page: Page, name: string): Promise<void> {
  const dir = join(projectDir, 'e2e', 'artifacts');
  await mkdir(dir, { recursive: true });
  await page.screenshot({ path: join(dir, `${name}.png`) });
}
