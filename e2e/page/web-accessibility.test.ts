/** The page in small windows, with forced colors, without a server, and with long names. */
import { findAccessibilityFaults, findCard, keepScreenshot } from '@inferql/testing/page/browser';
import { choose, findLabel, makePictures } from '@inferql/testing/page/page-cards';
import { setUpPage } from '@inferql/testing/page/page-fixture';
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';

const site = setUpPage();

/** The texts of elements that are larger than their boxes. */
const findCutTexts = (page: Page, selector: string) =>
  page
    .locator(selector)
    .evaluateAll((all) => all.filter((it) => it.scrollWidth > it.clientWidth).map((it) => it.textContent));

test('in a window of 320 pixels, the names of the figures do not overlap', () =>
  site.withPage(
    async ({ page }) => {
      expect(await findCutTexts(page, '.strip dt')).toEqual([]);
      expect(await findCutTexts(page, 'html')).toEqual([]);
      await keepScreenshot(page, 'page-320');
    },
    { viewport: { width: 320, height: 700 } },
  ));

test.each(['light', 'dark'] as const)('figures that may be outdated are readable in %s colors', (colorScheme) =>
  site.withPage(
    async ({ page }) => {
      await page.locator('.strip').evaluate((it) => it.setAttribute('data-stale', 'true'));
      expect(await findAccessibilityFaults(page)).toEqual([]);
    },
    { colorScheme },
  ),
);

test('with forced colors, bars and progress are drawn', () =>
  site.withPage(
    async ({ page }) => {
      const [picture] = makePictures(1);
      const card = findCard(page, picture!.file.name);
      const readBackgrounds = (selector: string, pseudo?: string) =>
        card.locator(selector).evaluate((it, drawnBy) => {
          const drawn = getComputedStyle(it, drawnBy).backgroundColor;
          it.style.cssText += 'background: Highlight; forced-color-adjust: none';
          return [drawn, getComputedStyle(it).backgroundColor];
        }, pseudo);
      site.system.workers[0]!.pause();
      let send = () => {};
      const held = new Promise<void>((resolve) => {
        send = resolve;
      });
      await page.route('**/graphql', async (route) => {
        if (route.request().headers()['content-type']?.startsWith('multipart/')) await held;
        await route.continue();
      });
      await choose(page, [picture!.file]);
      const [upload, highlight] = await readBackgrounds('[role=progressbar] > span');
      expect(upload).toBe(highlight);
      send();
      await card.getByText('Next in line').waitFor();
      expect(await readBackgrounds('.card-progress-open', '::before')).toEqual([highlight, highlight]);
      site.system.workers[0]!.resume();
      await findLabel(page, picture!.file.name, picture!.label).waitFor();
      const fill = card.locator('.bar-fill').first();
      expect(await fill.evaluate((it) => getComputedStyle(it).borderBottomWidth)).toBe('3px');
    },
    { forcedColors: 'active' },
  ));

test("on a prediction's page, a long name is shown as a whole", () =>
  site.withPage(async ({ page }) => {
    const [picture] = makePictures(1);
    await choose(page, [picture!.file]);
    await findLabel(page, picture!.file.name, picture!.label).waitFor();
    await page.getByRole('link', { name: 'Open' }).click();
    const name = page.locator('.card-alone .bar-name').first();
    await name.evaluate((it) => {
      it.textContent = `${'Donaudampfschifffahrt'.repeat(6)} ${'and more '.repeat(12)}`;
    });
    expect(await findCutTexts(page, '.card-alone .bar-name')).toEqual([]);
    expect(await findCutTexts(page, '.card-alone .card-body')).toEqual([]);
  }));
