/** The page on a server that requires API keys. */
import { findAccessibilityFaults, findCard, openPage } from '@inferql/testing/page/browser';
import { choose, findLabel, makePictures } from '@inferql/testing/page/page-cards';
import { setUpPage } from '@inferql/testing/page/page-fixture';
import { withKeyStore } from '@inferql/testing/system/key-store';
import { scriptedModel } from '@inferql/testing/system/system';
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';

const site = setUpPage({
  models: [scriptedModel(), scriptedModel({ name: 'other' })],
  env: { INFERQL_AUTH: 'keys', INFERQL_DEFAULT_MODEL: 'scripted' },
});

const createKey = (scopes: ('infer' | 'read' | 'operate')[] = ['infer', 'read']) =>
  withKeyStore(site.system.redis.url, (store) => store.create({ tenant: 'alice', scopes }));

async function withKeyForm(use: (page: Page) => Promise<void>): Promise<void> {
  const { page, close } = await openPage(site.browser, site.system.url);
  try {
    await page.getByLabel('API key').waitFor();
    await use(page);
  } finally {
    await close();
  }
}

async function enterKey(page: Page, key: string): Promise<void> {
  await page.getByLabel('API key').fill(key);
  await page.keyboard.press('Enter');
  await page.getByText('Live', { exact: true }).waitFor();
}

test('when a key is revoked, the board goes on with the next one: what was refused is sent, what waits is followed', () =>
  withKeyForm(async (page) => {
    const [first, second] = [await createKey(), await createKey()];
    const [waiting, refused] = makePictures(2);
    await enterKey(page, first.text);
    site.system.workers[0]!.pause();
    await choose(page, [waiting!.file]);
    await findCard(page, waiting!.file.name).getByText('Next in line').waitFor();

    // On its way when the key is revoked.
    const isUpload = (type: string | undefined) => type?.startsWith('multipart/');
    let pass = () => {};
    const held = new Promise<void>((resolve) => {
      pass = resolve;
    });
    await page.route('**/graphql', async (route) => {
      if (isUpload(route.request().headers()['content-type'])) await held;
      await route.continue();
    });
    const isAsked = page.waitForRequest((request) => isUpload(request.headers()['content-type']) === true);
    await choose(page, [refused!.file]);
    await isAsked;
    await withKeyStore(site.system.redis.url, (store) => store.revoke(first.record.id));
    await page.getByText('The API key was revoked.').waitFor();
    const isRefused = page.waitForResponse(
      (response) => isUpload(response.request().headers()['content-type']) === true,
    );
    pass();
    expect((await isRefused).status()).toBe(401);

    await enterKey(page, second.text);
    site.system.workers[0]!.resume();
    for (const { file, label } of [waiting!, refused!]) await findLabel(page, file.name, label).waitFor();
    expect(await page.getByRole('article').count()).toBe(2);
  }));

test('after a key that may not read, the next one is used at once, and kept', () =>
  withKeyForm(async (page) => {
    const [unfit, good] = [await createKey(['operate']), await createKey()];
    // As after another page of the server, which accepted it.
    await page.evaluate((key) => sessionStorage.setItem('inferql.key', key), unfit.text);
    await page.reload();
    await page.getByText('This key does not have infer and read.').waitFor();
    await enterKey(page, good.text);
    await page.locator('[data-figure=waiting]', { hasText: /^0$/ }).waitFor();
    await page.getByRole('option', { name: 'other' }).waitFor({ state: 'attached' });
    expect(await page.evaluate(() => sessionStorage.getItem('inferql.key'))).toBe(good.text);
  }));

test('what was chosen, and which notices were closed, stays while the page asks for a key', () =>
  withKeyForm(async (page) => {
    const [first, second] = [await createKey(), await createKey()];
    await page.evaluate(() => {
      sessionStorage.setItem('inferql.session', JSON.stringify([{ name: 'lost.jpg' }]));
      // The page would replace it when it goes.
      Storage.prototype.setItem = () => {};
    });
    await page.reload();
    await enterKey(page, first.text);
    const closed = page.getByText('Not sent before the page was closed');
    await closed.waitFor();
    await page.getByRole('button', { name: 'Close' }).click();
    await page.getByLabel('Model').selectOption('other');
    await withKeyStore(site.system.redis.url, (store) => store.revoke(first.record.id));
    await page.getByText('The API key was revoked.').waitFor();
    await enterKey(page, second.text);
    await expect.poll(() => page.getByLabel('Model').inputValue()).toBe('other');
    expect(await closed.count()).toBe(0);
    const [picture] = makePictures(1);
    await choose(page, [picture!.file]);
    await findCard(page, picture!.file.name)
      .getByText(/^other/)
      .waitFor();
  }));

test('a key that is refused again is announced again, and the keyboard stays where it is', () =>
  withKeyForm(async (page) => {
    await page.getByLabel('API key').fill('wrong');
    const button = page.getByRole('button', { name: 'Continue' });
    const problem = page.getByRole('alert').filter({ hasText: 'not an API key' });
    await button.focus();
    await page.keyboard.press('Space');
    await problem.waitFor();
    await page.evaluate(() => {
      const texts: string[] = [];
      Object.assign(globalThis, { texts });
      const alert = document.querySelector('[role=alert]')!;
      new MutationObserver(() => texts.push(alert.textContent ?? '')).observe(alert, {
        childList: true,
        characterData: true,
        subtree: true,
      });
    });
    await expect.poll(() => button.evaluate((it) => it === document.activeElement)).toBe(true);
    await page.keyboard.press('Space');
    const readTexts = () => page.evaluate(() => (globalThis as unknown as { texts: string[] }).texts);
    await expect.poll(readTexts).toEqual(['', expect.stringContaining('not an API key')]);
    expect(await findAccessibilityFaults(page)).toEqual([]);
  }));
