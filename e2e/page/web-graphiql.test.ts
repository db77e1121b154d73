import { join } from 'node:path';
import { projectDir } from '@inferql/testing/build';
import { expectedClass, makePicture } from '@inferql/testing/data/test-images';
import { findAccessibilityFaults, keepScreenshot, openPage, PAGE_TIMEOUT_MS } from '@inferql/testing/page/browser';
import { buildTestPage } from '@inferql/testing/page/page-build';
import { setUpPage } from '@inferql/testing/page/page-fixture';
import { withKeyStore } from '@inferql/testing/system/key-store';
import { startSystem } from '@inferql/testing/system/system';
import type { Page } from 'playwright-core';
import { expect, test } from 'vitest';

const site = setUpPage();

const pictures = [1, 2, 3].map((n) => ({
  label: `class ${expectedClass(n)}`,
  file: { name: `picture-${n}.png`, mimeType: 'image/png', buffer: Buffer.from(makePicture(n)) },
}));

async function withGraphiql(use: (page: Page) => Promise<void>): Promise<void> {
  const { page, complaints, close } = await openPage(site.browser, `${site.system.url}/graphql`);
  try {
    await page.getByRole('region', { name: 'Files for Upload variables' }).waitFor();
    // The schema has been read: fields can be checked and completed.
    await page.getByRole('button', { name: /execute|run/i }).waitFor();
    await use(page);
    expect(complaints).toEqual([]);
  } finally {
    await close();
  }
}

/** Opens a tab. GraphiQL switches to its operation slightly later; what it then stores about its tabs shows when that is done. */
async function openTab(page: Page, name: string): Promise<void> {
  await page.getByRole('tablist').getByRole('button', { name, exact: true }).click();
  await page.locator('.graphiql-query-editor .view-lines', { hasText: name }).waitFor();
  await page.waitForFunction((wanted) => {
    const { tabs, activeTabIndex } = JSON.parse(localStorage.getItem('graphiql:tabState') ?? '{"tabs":[]}');
    return tabs[activeTabIndex]?.operationName === wanted;
  }, name);
}

const run = (page: Page) => page.locator('.graphiql-execute-button').click();

/** Runs a query to its end: until then, another click would stop it. */
async function runToEnd(page: Page): Promise<void> {
  await run(page);
  await page.getByRole('button', { name: /^Execute query/ }).waitFor();
  await page.locator('.graphiql-response .view-line', { hasText: /\S/ }).first().waitFor();
}

/** The response's text. The editor draws spaces as no-break spaces. */
async function readResponse(page: Page): Promise<string> {
  const lines = await page.locator('.graphiql-response .view-line').evaluateAll((elements) =>
    elements
      .map((element) => ({
        top: Number.parseInt((element as HTMLElement).style.top, 10),
        text: element.textContent ?? '',
      }))
      .sort((a, b) => a.top - b.top)
      .map(({ text }) => text),
  );
  return lines.join('\n').replaceAll('\u00a0', ' ');
}

const waitForResponse = (page: Page, pattern: RegExp) => expect.poll(() => readResponse(page)).toMatch(pattern);

test('running a mutation asks for the file and sends it', () =>
  withGraphiql(async (page) => {
    const [picture] = pictures;
    const chooser = page.waitForEvent('filechooser');
    await run(page);
    await (await chooser).setFiles(picture!.file);
    await waitForResponse(page, new RegExp(`"name": "${picture!.label}"`));
    await page.getByText(picture!.file.name).waitFor();
    // The file stays chosen for the next run and the next tab.
    await openTab(page, 'ClassifyIdFirst');
    await run(page);
    await waitForResponse(page, new RegExp(`"status": "SUCCEEDED"[\\s\\S]*"name": "${picture!.label}"`));
    // The elements that GraphiQL draws are not checked.
    expect(await findAccessibilityFaults(page, '.upload-panel')).toEqual([]);
    await keepScreenshot(page, 'graphiql');
  }));

test('a list of uploads takes all chosen files, and samples can be added', () =>
  withGraphiql(async (page) => {
    await page.locator('#upload-chooser').setInputFiles(pictures.map(({ file }) => file));
    await page.getByRole('button', { name: 'rocket.jpg', exact: true }).click();
    await page.getByRole('button', { name: 'Remove rocket.jpg' }).waitFor();
    await page.getByRole('button', { name: 'Remove picture-2.png' }).focus();
    await page.keyboard.press('Enter');
    const choose = page.getByRole('button', { name: 'Choose files…' });
    await expect.poll(() => choose.evaluate((it) => it === document.activeElement)).toBe(true);
    await openTab(page, 'ClassifyImages');
    await run(page);
    await waitForResponse(page, new RegExp(`${pictures[0]!.label}"[\\s\\S]*${pictures[2]!.label}"[\\s\\S]*SUCCEEDED`));
    expect(await readResponse(page)).not.toContain(`"${pictures[1]!.label}"`);
  }));

test('the prediction seen last is followed, read and canceled without typing its id', () =>
  withGraphiql(async (page) => {
    await page.locator('#upload-chooser').setInputFiles(join(projectDir, 'models/samples/chelsea.png'));
    await openTab(page, 'SubmitImage');
    await run(page);
    await waitForResponse(page, /"id": "scripted\.[^"]+"/);
    const id = /"id": "([^"]+)"/.exec(await readResponse(page))![1]!;
    await page.getByText(`$id, if it has no value: ${id}`).waitFor();
    await openTab(page, 'FollowPrediction');
    await run(page);
    await waitForResponse(page, new RegExp(`"id": "${id}"[\\s\\S]*"status": "SUCCEEDED"`));
    await openTab(page, 'ReadPrediction');
    await run(page);
    await waitForResponse(page, new RegExp(`"id": "${id}"[\\s\\S]*"attempts": 1`));
    await openTab(page, 'CancelPrediction');
    await run(page);
    await waitForResponse(page, /"cancelPrediction": \{[\s\S]*"status": "SUCCEEDED"/);
  }));

test('queries and subscriptions without files pass through unchanged', () =>
  withGraphiql(async (page) => {
    await openTab(page, 'ListModels');
    await run(page);
    await waitForResponse(page, /"name": "scripted"/);
    await openTab(page, 'FollowQueue');
    await run(page);
    await waitForResponse(page, /"waiting": 0/);
  }));

test('if the server requires keys, it asks for one, and uses it for the schema, operations and subscriptions', async () => {
  const guarded = await startSystem({ env: { INFERQL_AUTH: 'keys', INFERQL_WEB_DIR: await buildTestPage() } });
  try {
    const key = await withKeyStore(guarded.redis.url, (store) =>
      store.create({ tenant: 'alice', scopes: ['infer', 'read', 'operate'] }),
    );
    const context = await site.browser.newContext();
    context.setDefaultTimeout(PAGE_TIMEOUT_MS);
    const page = await context.newPage();
    const asked: string[] = [];
    const answers = [`${key.text}x`, key.text];
    page.on('dialog', (dialog) => {
      asked.push(dialog.message());
      void dialog.accept(answers.shift());
    });
    await page.goto(`${guarded.url}/graphql`);
    await page.getByRole('region', { name: 'Files for Upload variables' }).waitFor();
    await openTab(page, 'ListModels');
    // The first key is mistyped: it is asked for again.
    await expect
      .poll(async () => {
        await runToEnd(page);
        return readResponse(page);
      })
      .toMatch(/"name": "scripted"/);
    expect(asked).toHaveLength(2);
    expect(asked[0]).toContain('API key');
    await openTab(page, 'FollowQueue');
    await run(page);
    await waitForResponse(page, /"waiting": 0/);
    await openTab(page, 'ClassifyImage');
    const [picture] = pictures;
    await page.locator('#upload-chooser').setInputFiles([picture!.file]);
    await run(page);
    await waitForResponse(page, new RegExp(`"name": "${picture!.label}"`));
    // The key is the tab's: a reload does not ask again, another tab does.
    await page.reload();
    await page.locator('.graphiql-query-editor .view-lines').waitFor();
    await openTab(page, 'ListModels');
    await run(page);
    await waitForResponse(page, /"name": "scripted"/);
    expect(asked).toHaveLength(2);
    expect(await page.evaluate(() => JSON.stringify({ ...localStorage }))).not.toContain(key.text);
    await withKeyStore(guarded.redis.url, (store) => store.revoke(key.record.id));
    answers.push('');
    await expect
      .poll(async () => {
        await runToEnd(page);
        return asked.length;
      })
      .toBeGreaterThan(2);
    await context.close();
  } finally {
    await guarded.end();
  }
});
