/** HEIC on the page, in a browser and with a server that cannot read it. */
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { projectDir } from '@inferql/testing/build';
import { findAccessibilityFaults, findCard } from '@inferql/testing/page/browser';
import { findLabel, makePictures } from '@inferql/testing/page/page-cards';
import { setUpPage } from '@inferql/testing/page/page-fixture';
import type { Page } from 'playwright-core';
import { beforeAll, expect, test } from 'vitest';

const HEIC = join(projectDir, 'images/decode/formats/samples/plain.heic');
/** The server's words, with both ways out. */
const REFUSAL = /does not read HEIC\. Send it as JPEG, or ask the operator to run `npm install --no-save heic-decode`/;

const site = setUpPage();
let dir: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'inferql-heic-'));
  return () => rm(dir, { recursive: true, force: true });
});

/** Drops files and folders as the system does, with their paths. */
async function drop(page: Page, paths: string[]): Promise<void> {
  const session = await page.context().newCDPSession(page);
  const data = { items: [], files: paths, dragOperationsMask: 1 };
  for (const type of ['dragEnter', 'dragOver', 'drop'] as const) {
    await session.send('Input.dispatchDragEvent', { type, x: 400, y: 400, data });
  }
}

const findRefusal = (page: Page, name: string) => findCard(page, name).getByText(REFUSAL);

test('a HEIC that nobody can read is refused with its name and both ways out', () =>
  site.withPage(async ({ page }) => {
    await page.locator('input[type=file][multiple]').setInputFiles(HEIC);
    await findRefusal(page, basename(HEIC)).waitFor();
    expect(await findAccessibilityFaults(page)).toEqual([]);
  }));

test('of a dropped folder, every file gets a card or is named as left out', () =>
  site.withPage(async ({ page }) => {
    const folder = join(dir, 'holiday');
    await mkdir(join(folder, 'day 2'), { recursive: true });
    const pictures = makePictures(3);
    const images = ['a.png', 'IMG_0001', 'day 2/b.jfif'];
    for (const [i, name] of images.entries()) await writeFile(join(folder, name), pictures[i]!.file.buffer);
    const heics = ['IMG_0002.HEIC', 'day 2/IMG_0003.heif'];
    for (const name of heics) await copyFile(HEIC, join(folder, name));
    const others = {
      'raw.dng': 'II*\0\x08\0\0\0',
      'scan.jp2': '\0\0\0\x0cjP  \r\n\x87\n',
      'new.jxl': '\xff\x0a\xfa\x1f',
    };
    for (const [name, bytes] of Object.entries(others)) await writeFile(join(folder, name), bytes, 'latin1');
    await writeFile(join(folder, 'notes.txt'), 'no image');
    await writeFile(join(folder, 'clip.mp4'), '\0\0\0\x20ftypisom');

    await drop(page, [folder]);
    for (const [i, name] of images.entries()) await findLabel(page, basename(name), pictures[i]!.label).waitFor();
    for (const name of heics) await findRefusal(page, basename(name)).waitFor();
    await findCard(page, 'scan.jp2')
      .getByText(/does not read JPEG 2000/)
      .waitFor();
    await findCard(page, 'new.jxl')
      .getByText(/does not read JPEG XL/)
      .waitFor();
    await findCard(page, 'raw.dng').getByText('This file is damaged').waitFor();
    const leftOut = page.getByText('Skipped, because they are not images:').locator('..');
    for (const name of ['notes.txt', 'clip.mp4']) await leftOut.getByText(name).waitFor();
    const named = await leftOut.textContent();
    const cards = await page.getByRole('article').count();
    expect(cards).toBe(images.length + heics.length + Object.keys(others).length);
    for (const name of [...images, ...heics, ...Object.keys(others)]) expect(named).not.toContain(basename(name));
    expect(await findAccessibilityFaults(page)).toEqual([]);
  }));

test('a dropped folder of HEIC alone gets a card for each file', () =>
  site.withPage(async ({ page }) => {
    const folder = join(dir, 'phone');
    await mkdir(folder);
    const names = ['IMG_1.HEIC', 'IMG_2.HEIC'];
    for (const name of names) await copyFile(HEIC, join(folder, name));
    await drop(page, [folder]);
    for (const name of names) await findRefusal(page, name).waitFor();
  }));

test('a notice is announced, and the keyboard stays in the page when it is closed', () =>
  site.withPage(async ({ page }) => {
    // A screen reader announces what is added to a region that exists.
    const region = page.getByRole('main').getByRole('status');
    expect(await region.count()).toBe(1);
    const folder = join(dir, 'texts');
    await mkdir(folder);
    await writeFile(join(folder, 'notes.txt'), 'no image');
    await drop(page, [folder]);
    const notice = region.getByText('Skipped, because they are not images: notes.txt.');
    await notice.waitFor();
    await page.getByRole('button', { name: 'Close' }).focus();
    await page.keyboard.press('Enter');
    await notice.waitFor({ state: 'detached' });
    const add = page.getByRole('button', { name: 'Choose photos' });
    await expect.poll(() => add.evaluate((it) => it === document.activeElement)).toBe(true);
  }));
