/** `npm run dev`: a change of the server, of a worker and of the page is seen without a restart by hand. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findFreePort } from '@inferql/launcher/free-port';
import { type Clone, cloneProject } from '@inferql/testing/launcher/clone';
import { type Launcher, startLauncher } from '@inferql/testing/launcher/launcher';
import { launchBrowser, openPage } from '@inferql/testing/page/browser';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';

const BUILD_TIMEOUT_MS = 300_000;
const poll = { timeout: 120_000, interval: 200 };

let clone: Clone;
let launcher: Launcher;
let browser: Browser;
let api: string;
let pageUrl: string;

beforeAll(async () => {
  clone = cloneProject({ models: false, built: true });
  const env = { INFERQL_MODELS_DIR: 'examples/models', PORT: String(await findFreePort()), NO_COLOR: '1' };
  launcher = startLauncher(clone.dir, env, ['dev']);
  browser = await launchBrowser();
  pageUrl = (await launcher.printed(/Local:\s+(http:\S+)/))[1]!;
  api = `${await launcher.ready()}/graphql`;
  await launcher.printed(/Watching the sources/);
}, BUILD_TIMEOUT_MS);

afterAll(async () => {
  await browser?.close();
  launcher?.process.kill('SIGTERM');
  await launcher?.exited();
  clone?.remove();
});

function replaceIn(path: string, text: string, replacement: string): void {
  const file = join(clone.dir, path);
  const source = readFileSync(file, 'utf8');
  expect(source).toContain(text);
  writeFileSync(file, source.replace(text, replacement));
}

/** The text of the answer; empty while the server restarts. */
async function ask(query: string): Promise<string> {
  const response = await fetch(`${api}?query=${encodeURIComponent(query)}`).catch(() => undefined);
  return (await response?.text().catch(() => '')) ?? '';
}

test(
  'a changed resolver answers',
  async () => {
    await expect.poll(() => ask('{ limits { maxImages } }'), poll).toContain('"maxImages":32');
    replaceIn('server/schema/limits.ts', "t.exposeInt('maxImages', {", 't.int({ resolve: () => 31,');
    await expect.poll(() => ask('{ limits { maxImages } }'), poll).toContain('"maxImages":31');
  },
  BUILD_TIMEOUT_MS,
);

test(
  'a changed worker serves',
  async () => {
    replaceIn('worker/repository/engine-candidates.ts', "reason: 'The spec names it.'", "reason: 'A change.'");
    await expect.poll(() => ask('{ models { engineReason } }'), poll).toContain('A change.');
  },
  BUILD_TIMEOUT_MS,
);

test(
  'a changed component is on the open page',
  async () => {
    const { page, close } = await openPage(browser, pageUrl);
    await page.getByText('No photo at hand?').waitFor({ timeout: poll.timeout });
    replaceIn('web/components/samples.tsx', 'No photo at hand?', 'Nothing to send?');
    await page.getByText('Nothing to send?').waitFor({ timeout: poll.timeout });
    await close();
  },
  BUILD_TIMEOUT_MS,
);

test('what is compiled for it is apart from dist/', () => {
  expect(existsSync(join(clone.dir, '.inferql/dev-build/server/main.js'))).toBe(true);
});
