import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { projectDir } from '@inferql/testing/build';
import { makeMishap } from '@inferql/testing/data/test-images';
import { pauseEngines } from '@inferql/testing/launcher/launcher';
import { findAccessibilityFaults, findCard, keepScreenshot, openPage } from '@inferql/testing/page/browser';
import { choose, findLabel, makePictures, recordProgress, type Upload } from '@inferql/testing/page/page-cards';
import { setUpPage } from '@inferql/testing/page/page-fixture';
import { scriptedModel, startSystem } from '@inferql/testing/system/system';
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';

/** First byte of a picture that the scripted model throws on. */
const POISON = 250;

const site = setUpPage({
  models: [
    scriptedModel({ script: { waitMs: 100, throwOn: [POISON] }, batching: { maxBatchSize: 4 } }),
    scriptedModel({
      name: 'small-queue',
      script: { waitMs: 300 },
      queue: { maxQueueSize: 2 },
      batching: { maxBatchSize: 1 },
    }),
  ],
  env: { INFERQL_DEFAULT_MODEL: 'scripted' },
});

test('cards show their place in the queue, then that the model runs, then labels; the strip counts along', () =>
  site.withPage(async ({ page }) => {
    const [first, second, third] = makePictures(3);
    site.system.workers[0]!.pause();
    await choose(page, [first!.file]);
    await findCard(page, first!.file.name).getByText('Next in line').waitFor();
    await choose(page, [second!.file]);
    await findCard(page, second!.file.name).getByText('Number 2 in line').waitFor();
    await choose(page, [third!.file]);
    await findCard(page, third!.file.name).getByText('Number 3 in line').waitFor();
    await page.locator('[data-figure=waiting]', { hasText: /^3$/ }).waitFor();
    await findCard(page, first!.file.name)
      .getByText(/^\d+ s so far$/)
      .waitFor({ state: 'attached' });
    await page.getByText('0 of 3 done').waitFor();
    expect(await findAccessibilityFaults(page)).toEqual([]);
    await keepScreenshot(page, 'page-waiting');

    // The model runs until it is seen, however long that takes.
    const continueWork = pauseEngines(site.system.workers[0]!);
    site.system.workers[0]!.resume();
    // Which card is first is open: a stopped worker may lose the reply with the first image, and finds it again after the others.
    await page.getByRole('article').getByText('Analyzing').first().waitFor();
    continueWork();
    for (const { file, label } of [first!, second!, third!]) await findLabel(page, file.name, label).waitFor();
    await page.locator('[data-figure=waiting]', { hasText: /^0$/ }).waitFor();
    await page.locator('[data-figure=workers]', { hasText: /^1$/ }).waitFor();
    await page.locator('.strip-note', { hasText: /^up to about [\d.,]+ \/s$/ }).waitFor();
    await page.getByRole('status').filter({ hasText: '3 of 3 done' }).waitFor({ state: 'attached' });
  }));

/** Makes uploads from the page slow, and returns a file of 466 kB. */
async function slowDown(page: Page, bytesPerSecond: number): Promise<Upload> {
  const session = await page.context().newCDPSession(page);
  await session.send('Network.emulateNetworkConditions', {
    offline: false,
    latency: 0,
    downloadThroughput: -1,
    uploadThroughput: bytesPerSecond,
  });
  const buffer = await readFile(join(projectDir, 'models/samples/coffee.png'));
  return { name: 'slow.png', mimeType: 'image/png', buffer };
}

test('the progress of a slow upload is shown', () =>
  site.withPage(async ({ page }) => {
    const readProgress = await recordProgress(page, 'slow.png');
    await choose(page, [await slowDown(page, 250_000)]);
    await findCard(page, 'slow.png').locator('.bars').waitFor();
    const shares = new Set(await readProgress());
    expect([...shares].filter((share) => share > 0 && share < 100).length).toBeGreaterThan(1);
  }));

test('an upload can be canceled on its way, and nothing is sent', () =>
  site.withPage(async ({ page }) => {
    // It would take half a minute.
    await choose(page, [await slowDown(page, 15_000)]);
    const card = findCard(page, 'slow.png');
    await card.getByText(/^Uploading, [1-9]/).waitFor();
    await card.getByRole('button', { name: 'Cancel' }).click();
    await card.getByText('It was not sent.').waitFor();
    expect(await card.getByRole('link', { name: 'Open' }).count()).toBe(0);
    await card.getByRole('button', { name: 'Remove slow.png' }).click();
    await card.waitFor({ state: 'detached' });
  }));

test('a waiting prediction can be canceled and sent again', () =>
  site.withPage(async ({ page }) => {
    const [kept, given] = makePictures(2);
    site.system.workers[0]!.pause();
    await choose(page, [kept!.file]);
    await findCard(page, kept!.file.name).getByText('Next in line').waitFor();
    await choose(page, [given!.file]);
    const card = findCard(page, given!.file.name);
    await card.getByText('Number 2 in line').waitFor();
    await card.getByRole('button', { name: 'Cancel' }).click();
    await card.getByText('Canceled').waitFor();
    site.system.workers[0]!.resume();
    await findLabel(page, kept!.file.name, kept!.label).waitFor();
    await card.getByRole('button', { name: 'Try again' }).click();
    await findLabel(page, given!.file.name, given!.label).waitFor();
    await page.getByRole('button', { name: 'Clear finished' }).click();
    await expect.poll(() => page.getByRole('article').count()).toBe(0);
  }));

test('sixty images at once each get a card and the right answer', () =>
  site.withPage(async ({ page }) => {
    const pictures = makePictures(60);
    await choose(
      page,
      pictures.map(({ file }) => file),
    );
    await expect.poll(() => page.getByRole('article').count()).toBe(60);
    await page.getByText('60 photos').waitFor();
    for (const { file, label } of pictures) await findLabel(page, file.name, label).waitFor();
    expect(await page.getByText(/batch of [2-4]/).count()).toBeGreaterThan(0);
  }));

test('bad files are explained in plain words, each on its card, and do not affect the others', () =>
  site.withPage(async ({ page }) => {
    const [good] = makePictures(1);
    const bad = [
      { name: 'notes.txt', buffer: Buffer.from('not a picture'), words: 'This is not a photo we can read' },
      { name: 'nothing.png', buffer: Buffer.alloc(0), words: 'This file is empty' },
      {
        name: 'cut.png',
        buffer: (await readFile(join(projectDir, 'models/samples/coffee.png'))).subarray(0, 200_000),
        words: 'This file is damaged',
      },
      { name: 'huge.png', buffer: Buffer.alloc(12_000_000, 1), words: 'This file is too large' },
      {
        name: 'poison.png',
        buffer: Buffer.from(makeMishap(POISON)),
        words: 'The model returned no result',
      },
    ];
    await choose(page, [...bad.map(({ name, buffer }) => ({ name, mimeType: 'image/png', buffer })), good!.file]);
    for (const { name, words } of bad) await findCard(page, name).getByText(words).waitFor();
    await findLabel(page, good!.file.name, good!.label).waitFor();
    // Only what may end differently can be sent again.
    const retries = page.getByRole('article').filter({ has: page.getByRole('button', { name: 'Try again' }) });
    expect(await retries.getByRole('heading').allTextContents()).toEqual(['poison.png']);
    expect(await findAccessibilityFaults(page)).toEqual([]);
    await keepScreenshot(page, 'page-errors');
  }));

test('the page waits for a full queue', () =>
  site.withPage(async ({ page }) => {
    await page.getByLabel('Model').selectOption('small-queue');
    const pictures = makePictures(8);
    await page.evaluate(() => {
      const changes: string[] = [];
      Object.assign(globalThis, { changes });
      new MutationObserver((records) => {
        for (const { target, oldValue } of records) changes.push(`${oldValue} > ${target.textContent}`);
      }).observe(document.body, { subtree: true, characterData: true, characterDataOldValue: true });
    });
    // However slowly the page sends them, the queue is full then.
    site.system.workers[0]!.pause();
    await choose(
      page,
      pictures.map(({ file }) => file),
    );
    await page.getByText('The queue is full').first().waitFor();
    site.system.workers[0]!.resume();
    for (const { file, label } of pictures) await findLabel(page, file.name, label).waitFor();
    // The text stays while the page retries.
    const changes = await page.evaluate(() => (globalThis as unknown as { changes: string[] }).changes);
    expect(changes).toContainEqual(expect.stringMatching(/> The queue is full$/));
    expect(changes.filter((change) => /^The queue is full > Uploa/.test(change))).toEqual([]);
  }));

test('what is canceled while the server is down is canceled once it is back', () =>
  site.withPage(async ({ page }) => {
    const [picture] = makePictures(1);
    site.system.workers[0]!.pause();
    await choose(page, [picture!.file]);
    const card = findCard(page, picture!.file.name);
    await card.getByText('Next in line').waitFor();
    await site.system.servers[0]!.kill9();
    await page.getByText('Connecting…').waitFor();
    await card.getByRole('button', { name: 'Cancel' }).focus();
    await page.keyboard.press('Enter');
    await card.getByRole('button', { name: 'Canceling…' }).waitFor();
    await site.system.servers[0]!.restart();
    await card.getByText('It was removed from the queue.').waitFor();
    const again = card.getByRole('button', { name: 'Try again' });
    await expect.poll(() => again.evaluate((it) => it === document.activeElement)).toBe(true);
    site.system.workers[0]!.resume();
  }));

test('a link to an unknown prediction says so', async () => {
  const watched = await openPage(site.browser, `${site.system.url}/p/scripted.AAAAAAAAAAAAAAAAAAAAAA`);
  await watched.page.getByText('Prediction not found', { exact: true }).waitFor();
  expect(await findAccessibilityFaults(watched.page)).toEqual([]);
  expect(watched.complaints).toEqual([]);
  await watched.close();
});

test.each([
  { how: 'killed', stop: () => site.system.servers[0]!.kill9() },
  { how: 'shut down in order', stop: () => site.system.servers[0]!.stop() },
])('a server that is $how and starts again leaves no card behind', ({ stop }) =>
  site.withPage(async ({ page }) => {
    const [early, late] = [makePictures(6), makePictures(2)];
    site.system.workers[0]!.pause();
    await choose(
      page,
      early.map(({ file }) => file),
    );
    await page.getByText('Number 6 in line').waitFor();
    await stop();
    await page.getByText('Connecting…').waitFor();
    await choose(
      page,
      late.map(({ file }) => file),
    );
    await findCard(page, late[0]!.file.name).getByText('The server is not responding').waitFor();
    await keepScreenshot(page, 'page-server-gone');
    site.system.workers[0]!.resume();
    await site.system.servers[0]!.restart();
    await page.getByText('Live', { exact: true }).waitFor();
    for (const { file, label } of [...early, ...late]) await findLabel(page, file.name, label).waitFor();
    await page.locator('[data-figure=waiting]', { hasText: /^0$/ }).waitFor();
  }),
);

test('a page that is opened before the first worker works once there is one', async () => {
  const early = await startSystem({ workers: 0, env: { INFERQL_WEB_DIR: site.webDir } });
  try {
    const { page, complaints, close } = await openPage(site.browser, early.url);
    const [picture] = makePictures(1);
    await page.getByText('none yet').waitFor({ state: 'attached' });
    await choose(page, [picture!.file]);
    await findCard(page, picture!.file.name).getByText('The service is not ready').waitFor();
    await early.addWorker();
    await page.locator('[data-figure=workers]', { hasText: /^1$/ }).waitFor();
    await page.getByRole('option', { name: 'scripted' }).waitFor({ state: 'attached' });
    await findLabel(page, picture!.file.name, picture!.label).waitFor();
    expect(complaints).toEqual([]);
    await close();
  } finally {
    await early.end();
  }
});
