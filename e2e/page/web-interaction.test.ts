import { findAccessibilityFaults, findCard, waitForThumbnails } from '@inferql/testing/page/browser';
import { choose, findLabel, makePictures } from '@inferql/testing/page/page-cards';
import { setUpPage } from '@inferql/testing/page/page-fixture';
import sharp from 'sharp';
import { expect, test } from 'vitest';

const site = setUpPage();

test('images can be dropped and pasted', () =>
  site.withPage(async ({ page }) => {
    const pictures = makePictures(2);
    for (const [index, type] of (['drop', 'paste'] as const).entries()) {
      const { file, label } = pictures[index]!;
      await page.evaluate(
        ({ type, name, bytes }) => {
          const data = new DataTransfer();
          data.items.add(new File([new Uint8Array(bytes)], name, { type: 'image/png' }));
          const event =
            type === 'drop'
              ? new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true })
              : new ClipboardEvent('paste', { clipboardData: data, bubbles: true });
          document.body.dispatchEvent(event);
        },
        { type, name: file.name, bytes: [...file.buffer] },
      );
      await findLabel(page, file.name, label).waitFor();
    }
  }));

test('an image that is dropped on the page of a prediction is classified, and the page stays open', () =>
  site.withPage(async ({ page }) => {
    const [shown, dropped] = makePictures(2);
    await choose(page, [shown!.file]);
    await findCard(page, shown!.file.name).getByRole('link', { name: 'Open' }).click();
    await page.getByRole('link', { name: 'All photos' }).waitFor();
    const drop = (type: string) =>
      page.evaluate(
        ({ type, name, bytes }) => {
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File([new Uint8Array(bytes)], name, { type: 'image/png' }));
          const event = new DragEvent(type, { dataTransfer, bubbles: true, cancelable: true });
          document.body.dispatchEvent(event);
          return event.defaultPrevented;
        },
        { type, name: dropped!.file.name, bytes: [...dropped!.file.buffer] },
      );
    expect(await drop('dragover')).toBe(true);
    await page.getByText('Drop to classify').waitFor();
    expect(await findAccessibilityFaults(page)).toEqual([]);
    expect(await drop('drop')).toBe(true);
    await findLabel(page, dropped!.file.name, dropped!.label).waitFor();
    await expect.poll(() => new URL(page.url()).pathname).toBe('/');
    await expect.poll(() => page.getByText('Drop to classify').count()).toBe(0);
  }));

test('going back from a prediction shows the board as it was, and removing a card moves the focus to the next one', () =>
  site.withPage(async ({ page }) => {
    const pictures = makePictures(24);
    await choose(
      page,
      pictures.map(({ file }) => file),
    );
    await page.getByText('24 photos').waitFor();
    const open = findCard(page, pictures[20]!.file.name).getByRole('link', { name: 'Open' });
    const readScroll = () => page.evaluate(() => Math.round(scrollY));
    for (const back of [() => page.goBack(), () => page.getByRole('link', { name: 'All photos' }).click()]) {
      await open.scrollIntoViewIfNeeded();
      const left = await readScroll();
      expect(left).toBeGreaterThan(500);
      await open.click();
      await page.getByRole('link', { name: 'All photos' }).waitFor();
      await expect.poll(readScroll).toBe(0);
      await back();
      await open.waitFor();
      await expect.poll(async () => Math.abs((await readScroll()) - left)).toBeLessThan(5);
    }
    const removeOf = (index: number) => page.getByRole('button', { name: `Remove ${pictures[index]!.file.name}` });
    await removeOf(20).focus();
    await page.keyboard.press('Enter');
    await findCard(page, pictures[20]!.file.name).waitFor({ state: 'detached' });
    await expect.poll(() => removeOf(21).evaluate((it) => it === document.activeElement)).toBe(true);
  }));

test('an image that ends without a result is announced to screen readers, even if it was added before the others', () =>
  site.withPage(async ({ page }) => {
    const [picture] = makePictures(1);
    site.system.workers[0]!.pause();
    await choose(page, [picture!.file]);
    await page.getByRole('status').filter({ hasText: '1 added.' }).waitFor({ state: 'attached' });
    await findCard(page, picture!.file.name).getByText('Next in line').waitFor();
    await choose(page, [{ name: 'notes.txt', mimeType: 'image/png', buffer: Buffer.from('not a picture') }]);
    const announced = page.getByRole('status').filter({ hasText: '1 of 2 done' });
    await announced.waitFor({ state: 'attached' });
    expect(await announced.textContent()).toBe('notes.txt: This is not a photo we can read. 1 of 2 done.');
    site.system.workers[0]!.resume();
    const last = page.getByRole('status').filter({ hasText: '2 of 2 done' });
    await last.waitFor({ state: 'attached' });
    expect(await last.textContent()).toBe(`${picture!.file.name}: ${picture!.label}, 90%. 2 of 2 done.`);
  }));

test('a reload of the page keeps its cards, finished and waiting ones', () =>
  site.withPage(async ({ page }) => {
    const [done, waiting] = makePictures(2);
    await choose(page, [done!.file]);
    await findLabel(page, done!.file.name, done!.label).waitFor();
    site.system.workers[0]!.pause();
    await choose(page, [waiting!.file]);
    await findCard(page, waiting!.file.name).getByText('Next in line').waitFor();
    await waitForThumbnails(page, 2);
    await page.reload();
    await findLabel(page, done!.file.name, done!.label).waitFor();
    await findCard(page, waiting!.file.name).getByText('Next in line').waitFor();
    await expect.poll(() => page.getByRole('img', { name: done!.file.name }).count()).toBe(1);
    site.system.workers[0]!.resume();
    await findLabel(page, waiting!.file.name, waiting!.label).waitFor();
  }));

test('an upload on a silently dead connection is sent again, and makes one prediction', () =>
  site.withPage(async ({ page }) => {
    const [picture] = makePictures(1);
    await page.clock.install();
    const keys: string[] = [];
    await page.route('**/graphql', async (route) => {
      const [, key] =
        /"idempotencyKey":"([\w-]+)"/.exec(route.request().postDataBuffer()?.toString('latin1') ?? '') ?? [];
      if (key) keys.push(key);
      // The first upload is never answered.
      if (!key || keys.length > 1) await route.continue();
    });
    await choose(page, [picture!.file]);
    const card = findCard(page, picture!.file.name);
    await card.getByText(/^Upload/).waitFor();
    await expect.poll(() => keys.length).toBe(1);
    await page.clock.fastForward(61_000);
    await card.getByText('The server is not responding').waitFor();
    await findLabel(page, picture!.file.name, picture!.label).waitFor();
    expect(keys).toEqual([keys[0], keys[0]]);
  }));

test('a cancellation that got no answer is repeated', () =>
  site.withPage(async ({ page }) => {
    const [picture] = makePictures(1);
    await page.clock.install();
    site.system.workers[0]!.pause();
    await choose(page, [picture!.file]);
    const card = findCard(page, picture!.file.name);
    await card.getByText('Next in line').waitFor();
    let asked = 0;
    await page.route('**/graphql', async (route) => {
      const isCancel = route.request().postData()?.includes('mutation Cancel');
      // The first one is never answered.
      if (!isCancel || asked++ > 0) await route.continue();
    });
    await card.getByRole('button', { name: 'Cancel' }).click();
    await expect.poll(() => asked).toBe(1);
    await page.clock.fastForward(21_000);
    await card.getByText('It was removed from the queue.').waitFor();
    expect(asked).toBe(2);
    site.system.workers[0]!.resume();
  }));

test('outdated figures of an unreadable queue are not shown as current', () =>
  site.withPage(async ({ page }) => {
    const workers = (figure: string) => page.locator('[data-figure=workers]', { hasText: figure }).waitFor();
    await workers('1');
    try {
      process.kill(site.system.redis.pid, 'SIGSTOP');
      await workers('–');
    } finally {
      process.kill(site.system.redis.pid, 'SIGCONT');
    }
    await workers('1');
  }));

test('nothing moves for people who prefer reduced motion', () =>
  site.withPage(
    async ({ page }) => {
      const [picture] = makePictures(1);
      const countMoves = () => page.evaluate(() => document.getAnimations().length);
      site.system.workers[0]!.pause();
      await choose(page, [picture!.file]);
      const card = findCard(page, picture!.file.name);
      await card.getByText('Next in line').waitFor();
      expect(await countMoves()).toBe(0);
      await page.getByRole('button', { name: 'Classify a cat' }).hover();
      await site.system.servers[0]!.kill9();
      await page.getByText('Connecting…').waitFor();
      expect(await countMoves()).toBe(0);
      site.system.workers[0]!.resume();
      await site.system.servers[0]!.restart();
      await findLabel(page, picture!.file.name, picture!.label).waitFor();
    },
    { reducedMotion: 'reduce' },
  ));

test('a photo that is sent again from the page of its prediction stays there, under its new address', () =>
  site.withPage(async ({ page }) => {
    const [picture] = makePictures(1);
    const card = findCard(page, picture!.file.name);
    site.system.workers[0]!.pause();
    await choose(page, [picture!.file]);
    await card.getByRole('link', { name: 'Open' }).click();
    await expect.poll(() => page.url()).toContain('/p/scripted.');
    const firstUrl = page.url();
    await card.getByRole('button', { name: 'Cancel' }).click();
    const again = card.getByRole('button', { name: 'Try again' });
    await again.click();
    await card.getByText('Next in line').waitFor();
    await expect.poll(() => page.url()).not.toBe(firstUrl);
    const cancel = card.getByRole('button', { name: 'Cancel' });
    expect(await cancel.evaluate((it) => it === document.activeElement)).toBe(true);
    site.system.workers[0]!.resume();
    await findLabel(page, picture!.file.name, picture!.label).waitFor();
    await page.reload();
    await page.getByRole('region', { name: 'One prediction' }).getByText(picture!.label, { exact: true }).waitFor();
    await page.getByRole('link', { name: 'All photos' }).click();
    await findLabel(page, picture!.file.name, picture!.label).waitFor();
    expect(await page.getByRole('article').count()).toBe(1);
  }));

test('of a long and narrow photo, the browser keeps a copy that leaves room for others', () =>
  site.withPage(async ({ page }) => {
    const noise = { type: 'gaussian', mean: 128, sigma: 60 } as const;
    const buffer = await sharp({ create: { width: 400, height: 6_000, channels: 3, background: '#888', noise } })
      .jpeg()
      .toBuffer();
    await choose(page, [{ name: 'long.jpg', mimeType: 'image/jpeg', buffer }]);
    await waitForThumbnails(page, 1);
    const [kept] = await page.evaluate(() =>
      Object.keys(localStorage)
        .filter((key) => key.startsWith('inferql.thumbnail.'))
        .map((key) => localStorage.getItem(key)!.length),
    );
    expect(kept).toBeLessThan(400_000);
  }));
