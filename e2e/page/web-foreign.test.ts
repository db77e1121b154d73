/** The page with answers that are not of the API, files that disappear, and files that get no card. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findCard } from '@inferql/testing/page/browser';
import { choose, findLabel, makePictures } from '@inferql/testing/page/page-cards';
import { setUpPage } from '@inferql/testing/page/page-fixture';
import type { Route } from 'playwright-core';
import { expect, test } from 'vitest';

const site = setUpPage({}, { acceptsComplaints: true });

const isUpload = (route: Route) => route.request().method() === 'POST' && isMultipart(route);
const isMultipart = (route: Route) => (route.request().headers()['content-type'] ?? '').startsWith('multipart/');

test.each([
  [413, 'This upload is too large for the server'],
  [401, 'Sign in first'],
  [403, 'The request was blocked'],
  [404, 'The request was blocked'],
])('a refusal of a proxy (%i) is final and explained, and does not hold up other images', (status, words) =>
  site.withPage(async ({ page }) => {
    const [refused, ...others] = makePictures(3);
    let first = true;
    await page.route('**/graphql', async (route) => {
      if (!isUpload(route) || !first) return route.continue();
      first = false;
      await route.fulfill({ status, contentType: 'text/html', body: '<h1>proxy</h1>' });
    });
    await choose(page, [refused!.file]);
    await findCard(page, refused!.file.name).getByText(words).waitFor();
    await choose(
      page,
      others.map(({ file }) => file),
    );
    for (const { file, label } of others) await findLabel(page, file.name, label).waitFor();
    // There is a way to retry.
    await findCard(page, refused!.file.name).getByRole('button', { name: 'Try again' }).click();
    await findLabel(page, refused!.file.name, refused!.label).waitFor();
  }),
);

test('images that a gateway or a sign-in page answers for are retried, and do not hold up others', () =>
  site.withPage(async ({ page }) => {
    const stuck = makePictures(5);
    const [good] = makePictures(1);
    const names = stuck.map(({ file }) => file.name);
    // An upload does not carry the name of its file.
    const contents = stuck.map(({ file }) => file.buffer.toString('latin1'));
    let isBroken = true;
    await page.route('**/graphql', async (route) => {
      const body = isUpload(route) ? (route.request().postDataBuffer()?.toString('latin1') ?? '') : '';
      const index = isBroken ? contents.findIndex((content) => body.includes(content)) : -1;
      if (index === -1) return route.continue();
      if (index % 2 === 0)
        return route.fulfill({ status: 502, contentType: 'text/html', body: '<h1>Bad Gateway</h1>' });
      await route.fulfill({ status: 200, contentType: 'text/html', body: '<form>Accept the terms</form>' });
    });
    await choose(
      page,
      stuck.map(({ file }) => file),
    );
    await findCard(page, names[0]!).getByText('The server cannot be reached').waitFor();
    await findCard(page, names[1]!).getByText('Unexpected response').waitFor();
    await choose(page, [good!.file]);
    await findLabel(page, good!.file.name, good!.label).waitFor();
    isBroken = false;
    for (const { file, label } of stuck) await findLabel(page, file.name, label).waitFor();
  }));

test('a file that was removed after it was chosen is named, and not retried', () =>
  site.withPage(async ({ page }) => {
    const [gone, good] = makePictures(2);
    const folder = await mkdtemp(join(tmpdir(), 'inferql-gone-'));
    try {
      const path = join(folder, gone!.file.name);
      await writeFile(path, gone!.file.buffer);
      // The first attempt is refused as retryable, so that the file can be removed before the second.
      let first = true;
      await page.route('**/graphql', async (route) => {
        if (!isUpload(route) || !first) return route.continue();
        first = false;
        await rm(path);
        await route.abort('connectionreset');
      });
      await page.locator('input[type=file][multiple]').setInputFiles(path);
      await findCard(page, gone!.file.name).getByText('The file has changed').waitFor();
      await choose(page, [good!.file]);
      await findLabel(page, good!.file.name, good!.label).waitFor();
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }));

test('a page with unsent images asks before it is left, and names them when it is opened again', () =>
  site.withPage(async ({ page }) => {
    const [picture] = makePictures(1);
    await page.route('**/graphql', async (route) => {
      if (!isUpload(route)) await route.continue();
    });
    await choose(page, [picture!.file]);
    await findCard(page, picture!.file.name)
      .getByText(/^Upload/)
      .waitFor();
    const asked = page.waitForEvent('dialog').then(async (dialog) => {
      expect(dialog.type()).toBe('beforeunload');
      await dialog.accept();
    });
    await page.getByRole('button', { name: 'Choose photos' }).focus();
    await Promise.all([asked, page.reload()]);
    await page.getByText(`Not sent before the page was closed. Add them again: ${picture!.file.name}.`).waitFor();
  }));
