/** The page on a model with a second head and an embedding. */
import { join } from 'node:path';
import { projectDir } from '@inferql/testing/build';
import { makePng } from '@inferql/testing/data/test-images';
import { findAccessibilityFaults, findCard, keepScreenshot, openPage } from '@inferql/testing/page/browser';
import { choose } from '@inferql/testing/page/page-cards';
import { setUpPage } from '@inferql/testing/page/page-fixture';
import { expect, test } from 'vitest';

const site = setUpPage({
  models: [],
  env: { INFERQL_MODELS_DIR: join(projectDir, 'examples/models'), INFERQL_DEFAULT_MODEL: 'palette' },
});

test('a card shows the labels, those of each further head, and what else the result has', async () => {
  const { page, complaints, close } = await openPage(site.browser, site.system.url);
  const received: string[] = [];
  page.on('websocket', (socket) => socket.on('framereceived', ({ payload }) => received.push(String(payload))));
  try {
    // The socket of the first load was opened before it could be observed.
    await page.reload();
    await page.getByText('Live', { exact: true }).waitFor();
    const file = { name: 'red.png', mimeType: 'image/png', buffer: Buffer.from(makePng(40, 40, [250, 10, 10])) };
    await choose(page, [file]);
    const card = findCard(page, 'red.png');
    await card.locator('.card-content > .bars li:first-child').getByText('dark', { exact: true }).waitFor();
    const head = card.getByRole('region', { name: 'color', exact: true });
    // Green and blue are below the threshold.
    expect(await head.getByRole('listitem').allTextContents()).toEqual(['red93%']);
    await card.getByText('Also in the result: histogram (embedding of 24 numbers).', { exact: true }).waitFor();
    // A card shows no values, which may be large.
    const results = () => received.filter((text) => text.includes('"embeddings"'));
    await expect.poll(() => results().length).toBeGreaterThan(0);
    expect(results().join('')).not.toMatch(/"base64"|"extra"/);
    const [content, facts] = [
      await card.locator('.card-content').boundingBox(),
      await card.locator('.card-model-line').boundingBox(),
    ];
    const outputs = await card.locator('.card-outputs').boundingBox();
    expect(outputs!.y + outputs!.height).toBeLessThanOrEqual(content!.y + content!.height + 1);
    expect(content!.y + content!.height).toBeLessThanOrEqual(facts!.y + 1);
    expect(await findAccessibilityFaults(page)).toEqual([]);
    await keepScreenshot(page, 'outputs');
    const [answer] = await Promise.all([
      page.waitForResponse(
        async (response) => /\/graphql$/.test(response.url()) && /"base64"/.test(await response.text()),
      ),
      card.getByRole('link', { name: 'Open', exact: true }).click(),
    ]);
    expect((await answer.json()).data.prediction.result).toMatchObject({
      embeddings: [{ name: 'histogram', size: 24 }],
    });
    expect(complaints).toEqual([]);
  } finally {
    await close();
  }
});
