/** Pictures for the page, and the cards that they become. */
import type { Locator, Page } from 'playwright-core';
import { expectedClass, makePicture } from '../data/test-images.ts';
import { findCard } from './browser.ts';

let made = 0;

/** Pictures that no test used before, with the names of their cards and the labels that they get. */
export function makePictures(count: number) {
  return Array.from({ length: count }, () => {
    const n = made++;
    return {
      label: `class ${expectedClass(n)}`,
      file: { name: `picture-${n}.png`, mimeType: 'image/png', buffer: Buffer.from(makePicture(n)) },
    };
  });
}

export type Upload = ReturnType<typeof makePictures>[number]['file'];

export function choose(page: Page, files: Upload[]): Promise<void> {
  return page.locator('input[type=file][multiple]').setInputFiles(files);
}

/** The first label of a file's card. */
export function findLabel(page: Page, name: string, label: string): Locator {
  return findCard(page, name).locator('.bars li:first-child').getByText(label, { exact: true });
}

/** Notes the percentages that a file's card shows while it uploads. Resolves with a function that reads them, in their order. */
export async function recordProgress(page: Page, name: string): Promise<() => Promise<number[]>> {
  await page.evaluate((label) => {
    const shown: number[] = [];
    Object.assign(globalThis, { shown });
    new MutationObserver(() => {
      const bar = document.querySelector(`[role=progressbar][aria-label="${label}"]`);
      const now = bar && Number(bar.getAttribute('aria-valuenow'));
      if (now !== null && now !== shown.at(-1)) shown.push(now);
    }).observe(document.body, { subtree: true, childList: true, attributes: true, characterData: true });
  }, `Upload of ${name}`);
  return () => page.evaluate(() => (globalThis as unknown as { shown: number[] }).shown);
}
