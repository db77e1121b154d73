/** The page over slow lines: uploads finish, once, and their progress is shown. */

import { startSlowLine } from '@inferql/testing/network/slow-line';
import { findCard, openPage } from '@inferql/testing/page/browser';
import { choose, findLabel, makePictures, recordProgress, type Upload } from '@inferql/testing/page/page-cards';
import { setUpPage } from '@inferql/testing/page/page-fixture';
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';

const site = setUpPage();

/** The picture's file, made this large by what follows the picture. */
function makeLarge({ file }: { file: Upload }, bytes: number): Upload {
  return { ...file, buffer: Buffer.concat([file.buffer, Buffer.alloc(bytes - file.buffer.length, 1)]) };
}

function countUploads(page: Page): () => number {
  let uploads = 0;
  page.on('request', (request) => {
    if ((request.headers()['content-type'] ?? '').startsWith('multipart/')) uploads++;
  });
  return () => uploads;
}

/** The browser's own limit for uploads: of a socket it reports what the system has taken, some megabytes more than the line has passed on. */
async function limitBrowser(page: Page, uploadThroughput: number): Promise<void> {
  const session = await page.context().newCDPSession(page);
  const rest = { offline: false, latency: 0, downloadThroughput: -1 };
  await session.send('Network.emulateNetworkConditions', { ...rest, uploadThroughput });
}

test.each([
  { rate: 3_000_000, bytes: 9_000_000 },
  { rate: 50_000, bytes: 300_000 },
])('$bytes bytes at $rate bytes per second', async ({ rate, bytes }) => {
  const line = await startSlowLine(site.system.url, rate);
  const watched = await openPage(site.browser, line.url);
  try {
    const { page } = watched;
    await page.getByText('Live', { exact: true }).waitFor();
    await limitBrowser(page, rate);
    const [picture] = makePictures(1);
    const file = makeLarge(picture!, bytes);
    const readProgress = await recordProgress(page, file.name);
    const uploads = countUploads(page);
    const began = performance.now();
    await choose(page, [file]);
    await findLabel(page, file.name, picture!.label).waitFor();
    // The line was as slow as it should be.
    expect(performance.now() - began).toBeGreaterThan((bytes / rate) * 800);
    const between = (await readProgress()).filter((share) => share > 0 && share < 100);
    expect(between.length).toBeGreaterThanOrEqual(5);
    expect(between).toEqual(between.toSorted((a, b) => a - b));
    expect(uploads()).toBe(1);
    expect(watched.complaints).toEqual([]);
  } finally {
    await watched.close();
    await line.close();
  }
});

test('several photos share a slow line, and each is sent once', async () => {
  const line = await startSlowLine(site.system.url, 200_000);
  const watched = await openPage(site.browser, line.url);
  try {
    const { page } = watched;
    const pictures = makePictures(6);
    const small = pictures.pop()!;
    const uploads = countUploads(page);
    await choose(
      page,
      pictures.map((picture) => makeLarge(picture, 200_000)),
    );
    await findCard(page, pictures[0]!.file.name)
      .getByText(/^Uploading|^Uploaded/)
      .waitFor();
    await choose(page, [small.file]);
    for (const { file, label } of [...pictures, small]) await findLabel(page, file.name, label).waitFor();
    expect(uploads()).toBe(pictures.length + 1);
    expect(watched.complaints).toEqual([]);
  } finally {
    await watched.close();
    await line.close();
  }
});
