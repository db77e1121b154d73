/** The page of a server that requires keys, in a browser. */
import { launchBrowser, openPage } from '@inferql/testing/page/browser';
import { buildTestPage } from '@inferql/testing/page/page-build';
import type { Browser } from 'playwright-core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startGuardedServer } from '../callers.ts';
import { startServer, startWorker } from '../server-harness.ts';

let webDir: string;
let browser: Browser;

beforeAll(async () => {
  [webDir, browser] = await Promise.all([buildTestPage(), launchBrowser()]);
});
afterAll(() => browser?.close());

test('it asks for a key, keeps it for the tab, and asks again if the key is revoked', async () => {
  const { server, store, makeKey } = await startGuardedServer({ env: { INFERQL_WEB_DIR: webDir } });
  await startWorker(server.prefix);
  const key = await makeKey();
  const { page, close } = await openPage(browser, await server.listener.listen());
  const field = page.getByLabel('API key');
  const live = page.getByText('Live', { exact: true });
  await field.waitFor();
  await field.fill(`${key.text}x`);
  await page.getByRole('button', { name: 'Continue' }).click();
  await page.getByText('mistyped').waitFor();
  await field.fill(key.text);
  await page.getByRole('button', { name: 'Continue' }).click();
  await live.waitFor();
  await page.reload();
  await live.waitFor();
  await store.revoke(key.id);
  await page.getByText('The API key was revoked.').waitFor();
  await close();
});

test('it asks for none if the server does not', async () => {
  const server = await startServer({ env: { INFERQL_WEB_DIR: webDir } });
  await startWorker(server.prefix);
  const { page, complaints, close } = await openPage(browser, await server.listener.listen());
  await page.getByText('Live', { exact: true }).waitFor();
  expect(complaints).toEqual([]);
  await close();
});
