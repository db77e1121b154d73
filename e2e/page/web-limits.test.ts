/** The page with images that the server does not accept unchanged. */

import { findAccessibilityFaults, findCard, PAGE_TIMEOUT_MS } from '@inferql/testing/page/browser';
import { choose, findLabel, makePictures } from '@inferql/testing/page/page-cards';
import { setUpPage } from '@inferql/testing/page/page-fixture';
import type { Locator } from 'playwright-core';
import sharp from 'sharp';
import { expect, test } from 'vitest';

const MAX_UPLOAD_BYTES = 200_000;
const MAX_PIXELS = 1_000_000;

const site = setUpPage({
  env: { INFERQL_MAX_UPLOAD_BYTES: String(MAX_UPLOAD_BYTES), INFERQL_MAX_PIXELS: String(MAX_PIXELS) },
});

const plain = (width: number, height: number) => sharp({ create: { width, height, channels: 3, background: '#a64' } });
const noise = (width: number, height: number) =>
  sharp({
    create: { width, height, channels: 3, background: '#888', noise: { type: 'gaussian', mean: 128, sigma: 60 } },
  });

test.each([
  ['with too many pixels', 'wide.jpg', 'image/jpeg', () => plain(1_600, 1_200).jpeg().toBuffer()],
  ['with too many bytes', 'heavy.png', 'image/png', () => noise(500, 400).png().toBuffer()],
])('an image %s is sent smaller, and its card says so', (_what, name, mimeType, make) =>
  site.withPage(async ({ page }) => {
    const buffer = await make();
    await choose(page, [{ name, mimeType, buffer }]);
    const card = findCard(page, name);
    await card.locator('.bars').waitFor();
    await card.getByText('Sent smaller: it was over the limit').waitFor();
    expect(await findAccessibilityFaults(page)).toEqual([]);
  }),
);

test('an image that the browser cannot make smaller is refused, and the limit is named', () =>
  site.withPage(async ({ page }) => {
    await choose(page, [{ name: 'huge.png', mimeType: 'image/png', buffer: Buffer.alloc(MAX_UPLOAD_BYTES + 1, 1) }]);
    const card = findCard(page, 'huge.png');
    await card.getByText('This file is too large').waitFor();
    expect(await card.locator('.card-state-detail').textContent()).toMatch(/200[.,]?000|200 kB|0\.2 MB|195 KiB/);
  }));

test('HEIF that this browser reads is converted before it is sent', () =>
  site.withPage(async ({ page }) => {
    const buffer = await plain(640, 480).avif().toBuffer();
    // The major brand of HEIF. Chromium reads it, as Safari reads HEIC.
    buffer.write('mif1', 8, 'latin1');
    await choose(page, [{ name: 'phone.heif', mimeType: '', buffer }]);
    const card = findCard(page, 'phone.heif');
    await card.locator('.bars').waitFor();
    await card.getByText('Sent as JPEG: converted from HEIC').waitFor();
  }));

test('the chooser does not list HEIC, so that iOS converts when photos are chosen', () =>
  site.withPage(async ({ page }) => {
    const accept = await page.locator('input[type=file][multiple]').getAttribute('accept');
    expect(accept).toContain('image/jpeg');
    expect(accept).not.toMatch(/hei|\*/);
  }));

test('a card names its model before the server has answered', () =>
  site.withPage(async ({ page }) => {
    const [picture] = makePictures(1);
    await page.route('**/graphql', (route) =>
      (route.request().headers()['content-type'] ?? '').startsWith('multipart/') ? undefined : route.continue(),
    );
    await choose(page, [picture!.file]);
    await findCard(page, picture!.file.name)
      .locator('.card-model-line')
      .getByText('scripted', { exact: true })
      .waitFor();
  }));

test('the keyboard stays in place when the last card is removed, one at a time or all at once', () =>
  site.withPage(async ({ page }) => {
    const hasFocus = (target: Locator) => target.evaluate((it) => it === document.activeElement);
    const add = page.getByRole('button', { name: 'Choose photos' });
    const pictures = makePictures(2);
    for (const { file, label } of pictures) {
      await choose(page, [file]);
      await findLabel(page, file.name, label).waitFor();
      const remove =
        file === pictures[0]!.file
          ? page.getByRole('button', { name: `Remove ${file.name}` })
          : page.getByRole('button', { name: 'Clear finished' });
      await remove.focus();
      await page.keyboard.press('Enter');
      await findCard(page, file.name).waitFor({ state: 'detached' });
      await expect.poll(() => hasFocus(add)).toBe(true);
    }
  }));

test('an unknown address has a page with ways on', async () => {
  const context = await site.browser.newContext();
  context.setDefaultTimeout(PAGE_TIMEOUT_MS);
  try {
    const page = await context.newPage();
    const response = await page.goto(`${site.system.url}/nonsense`);
    expect(response!.status()).toBe(404);
    await page.getByRole('heading', { name: 'Page not found' }).waitFor();
    await page.getByRole('link', { name: 'Classify images' }).click();
    await page.getByRole('button', { name: 'Choose photos' }).waitFor();
  } finally {
    await context.close();
  }
});
