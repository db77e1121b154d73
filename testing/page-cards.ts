/** Pictures for the page, and the cards that they become. */
import type { Locator, Page } from 'playwright-core';
import { findCard } from './browser.ts';
import { expectedClass, makePicture } from './test-images.ts';

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
