import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { projectDir } from '@inferql/testing/build';
import {
  findAccessibilityFaults,
  findCard,
  keepScreenshot,
  openPage,
  waitForThumbnails,
} from '@inferql/testing/page/browser';
import { setUpPage } from '@inferql/testing/page/page-fixture';
import type { Page } from 'playwright-core';
import sharp from 'sharp';
import { expect, test } from 'vitest';

const SAMPLES = ['chelsea.png', 'coffee.png', 'rocket.jpg'].map((name) => join(projectDir, 'models/samples', name));
const MAX_SCRIPT_BYTES = 150_000;

const site = setUpPage({ servers: 2, models: 'resnet50' });

test('a sample image gets its labels, and a heatmap for the label that is chosen', () =>
  site.withPage(async ({ page }) => {
    await page.getByRole('button', { name: 'Classify a cat' }).click();
    const card = findCard(page, 'chelsea.png');
    const label = card.getByRole('button', { name: /^(Egyptian cat|tabby|tiger cat)/ }).first();
    await label.waitFor();
    await expect.poll(() => card.getByRole('listitem').count()).toBe(5);
    await expect.poll(() => card.textContent()).toMatch(/in [\d.]+ m?s · not batched/);

    const name = (await label.locator('.bar-name').textContent())!;
    await label.click();
    const heatmap = card.getByRole('img', { name: `Where the model saw: ${name}` });
    await heatmap.waitFor();
    await expect.poll(() => label.getAttribute('aria-pressed')).toBe('true');
    // The model was given the middle 224 of 256 parts of the short side.
    const photo = (await card.getByRole('img', { name: 'chelsea.png' }).boundingBox())!;
    const map = (await heatmap.boundingBox())!;
    expect(map.width / photo.width).toBeCloseTo(224 / 256, 2);
    expect(map.x + map.width / 2).toBeCloseTo(photo.x + photo.width / 2, 0);
    expect(map.y + map.height / 2).toBeCloseTo(photo.y + photo.height / 2, 0);

    await label.click();
    await heatmap.waitFor({ state: 'detached' });
  }));

test("a prediction's link opens it again, on another server and in another browser, too", () =>
  site.withPage(async ({ page }) => {
    await page.locator('input[type=file][multiple]').setInputFiles(SAMPLES[1]!);
    const card = findCard(page, 'coffee.png');
    await card.getByText('espresso').waitFor();
    await card.getByRole('link', { name: 'Open' }).click();
    await expect.poll(() => page.url()).toMatch(/\/p\/resnet50\.[\w-]+$/);
    await expect.poll(() => page.title()).toBe('espresso · InferQL');
    await expect
      .poll(() => page.locator('.run-facts').textContent())
      .toMatch(/^Modelresnet50Sent at.+In the queue[\d.]+ m?sModel run[\d.]+ m?sBatch1 imageTotal[\d.]+ m?s$/);
    await page.getByRole('link', { name: 'All photos' }).click();
    await expect.poll(() => page.title()).toBe('InferQL');
    await card.getByText('espresso').waitFor();

    const path = (await card.getByRole('link', { name: 'Open' }).getAttribute('href'))!;
    await waitForThumbnails(page, 1);
    await page.goto(site.system.url + path);
    await page.getByRole('button', { name: /^espresso/ }).waitFor();
    await expect.poll(() => page.getByRole('img', { name: 'coffee.png' }).count()).toBe(1);

    const other = await openPage(site.browser, site.system.servers[1]!.url + path);
    await other.page.getByRole('button', { name: /^espresso/ }).waitFor();
    await other.page.getByText('The server does not keep photos').waitFor();
    expect(other.complaints).toEqual([]);
    await other.close();
  }));

test.each([
  { name: 'light', options: { colorScheme: 'light' } },
  { name: 'dark', options: { colorScheme: 'dark' } },
  { name: 'phone', options: { colorScheme: 'light', viewport: { width: 360, height: 740 }, hasTouch: true } },
  { name: 'wide', options: { colorScheme: 'dark', viewport: { width: 1920, height: 1000 } } },
] as const)('nothing jumps, nothing overflows, and axe finds nothing: $name', ({ name, options }) =>
  site.withPage(async ({ page }) => {
    expect(await findAccessibilityFaults(page)).toEqual([]);
    await keepScreenshot(page, `page-${name}-empty`);

    await page.evaluate(() => {
      const seen = { score: 0 };
      Object.assign(globalThis, { seen });
      new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) seen.score += (entry as unknown as { value: number }).value;
      }).observe({ type: 'layout-shift' });
    });
    await page.locator('input[type=file][multiple]').setInputFiles(SAMPLES);
    await page.getByText('3 photos').waitFor();
    await findCard(page, 'chelsea.png').getByRole('button').nth(1).click();
    await page.getByRole('img', { name: /^Where the model saw/ }).waitFor();
    expect(await page.evaluate(() => (globalThis as unknown as { seen: { score: number } }).seen.score)).toBeLessThan(
      0.01,
    );
    expect(await page.evaluate(() => document.documentElement.scrollWidth - innerWidth)).toBeLessThanOrEqual(0);
    expect(await findClippedFigures(page)).toEqual([]);
    expect(await findAccessibilityFaults(page)).toEqual([]);
    await keepScreenshot(page, `page-${name}`);
  }, options),
);

/** Figures of the strip that are wider than their cell, even if they are long. */
function findClippedFigures(page: Page): Promise<(string | null)[]> {
  return page.evaluate(() => {
    const figures = [...document.querySelectorAll('.strip dd:not(.strip-note)')];
    const [waiting, , rate, latency] = figures.map((figure) => figure.firstChild!);
    waiting!.textContent = '1,000';
    rate!.textContent = '99.9';
    latency!.textContent = '987';
    return figures.filter((it) => it.scrollWidth > it.clientWidth).map(({ textContent }) => textContent);
  });
}

test('an image from a phone is shown by a small copy, upright, and on white if it is transparent', () =>
  site.withPage(async ({ page }) => {
    const [large, clear] = await Promise.all([
      sharp(SAMPLES[1]!).resize(4032, 3024, { fit: 'fill' }).jpeg().withMetadata({ orientation: 6 }).toBuffer(),
      sharp({
        create: {
          width: 1200,
          height: 900,
          channels: 4,
          background: '#0000',
          noise: { type: 'gaussian', mean: 0, sigma: 0 },
        },
      })
        .png({ compressionLevel: 0 })
        .toBuffer(),
    ]);
    await page.locator('input[type=file][multiple]').setInputFiles([
      { name: 'large.jpg', mimeType: 'image/jpeg', buffer: large },
      { name: 'clear.png', mimeType: 'image/png', buffer: clear },
    ]);
    const readImage = (name: string) =>
      page.getByRole('img', { name, exact: true }).evaluate(async (it) => {
        const image = it as HTMLImageElement;
        await image.decode();
        const context = new OffscreenCanvas(1, 1).getContext('2d')!;
        context.drawImage(image, 0, 0, 1, 1);
        return {
          width: image.naturalWidth,
          height: image.naturalHeight,
          pixel: [...context.getImageData(0, 0, 1, 1).data],
        };
      });
    await expect.poll(() => readImage('large.jpg')).toMatchObject({ width: 800, height: 1067 });
    await expect
      .poll(() => readImage('clear.png'))
      .toMatchObject({ width: 1067, height: 800, pixel: [255, 255, 255, 255] });
    await page.getByText('2 photos').waitFor();
  }));

test('everything can be done with the keyboard', () =>
  site.withPage(async ({ page }) => {
    await page.getByRole('button', { name: 'Classify a rocket' }).focus();
    await page.keyboard.press('Enter');
    const card = findCard(page, 'rocket.jpg');
    await card
      .getByRole('button', { name: /missile|projectile/ })
      .first()
      .waitFor();
    const remove = card.getByRole('button', { name: 'Remove rocket.jpg' });
    await remove.focus();
    await page.keyboard.press('Tab');
    await page.keyboard.press('Space');
    await card.getByRole('img', { name: /^Where the model saw/ }).waitFor();
    await remove.focus();
    await page.keyboard.press('Enter');
    await card.waitFor({ state: 'detached' });
  }));

test('the camera takes a photo', () =>
  site.withPage(async ({ page }) => {
    const take = page.getByRole('button', { name: 'Take a photo' });
    const hasFocus = () => take.evaluate((it) => it === document.activeElement);
    await take.click();
    await page.getByRole('button', { name: 'Close' }).click();
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await expect.poll(hasFocus).toBe(true);
    await take.click();
    await page.getByRole('button', { name: 'Take photo', disabled: false }).waitFor();
    expect(await findAccessibilityFaults(page)).toEqual([]);
    await page.getByRole('button', { name: 'Take photo' }).click();
    const card = page.getByRole('article', { name: /^Photo \d\d\.\d\d\.\d\d\.jpg$/ });
    await card.locator('.bar').nth(4).waitFor();
    await expect.poll(hasFocus).toBe(true);
  }));

test('if there is no camera, a file can be chosen instead', () =>
  site.withPage(async ({ page }) => {
    await page.evaluate(() => Object.defineProperty(navigator, 'mediaDevices', { value: undefined }));
    await page.getByRole('button', { name: 'Take a photo' }).click();
    const dialog = page.getByRole('dialog');
    const words = (await dialog.getByText('This page cannot use the camera').boundingBox())!;
    const button = (await dialog.locator('label', { hasText: 'Choose a photo instead' }).boundingBox())!;
    const view = (await dialog.locator('.camera-view').boundingBox())!;
    expect(words.y + button.y + button.height).toBeCloseTo(2 * view.y + view.height, -1);
    expect(await dialog.getByRole('button', { name: 'Take photo' }).count()).toBe(0);
    expect(await findAccessibilityFaults(page)).toEqual([]);
    await dialog.locator('input[type=file]').setInputFiles(SAMPLES[2]!);
    await findCard(page, 'rocket.jpg').locator('.bar').nth(4).waitFor();
  }));

test('the script of the page stays small', async () => {
  const html = await readFile(join(site.webDir, 'index.html'), 'utf8');
  const names = [...html.matchAll(/\/assets\/([\w.-]+\.js)/g)].map(([, name]) => name!);
  expect(names.length).toBeGreaterThan(0);
  const assets = await readdir(join(site.webDir, 'assets'));
  expect(assets).toEqual(expect.arrayContaining(names));
  const workers = assets.filter((name) => /^shrink-image\.worker.*\.js$/.test(name));
  expect(workers).toHaveLength(1);
  names.push(...workers);
  const sizes = await Promise.all(
    names.map(async (name) => gzipSync(await readFile(join(site.webDir, 'assets', name))).length),
  );
  expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThan(MAX_SCRIPT_BYTES);
});
