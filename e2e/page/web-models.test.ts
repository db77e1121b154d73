/** The page while models come and go. */
import { setUpPage } from '@inferql/testing/page/page-fixture';
import { scriptedModel } from '@inferql/testing/system/system';
import { test } from 'vitest';

const site = setUpPage();

test('the chooser follows the models that workers serve, and goes back to the default one', () =>
  site.withPage(async ({ page }) => {
    const models = [scriptedModel({ name: 'added', queue: { graceMs: 0 } })];
    const chooser = page.getByLabel('Model');
    const option = chooser.getByRole('option', { name: 'added' });
    const worker = await site.system.addWorker({ INFERQL_SCRIPTED_MODELS: JSON.stringify(models) });
    await option.waitFor({ state: 'attached' });
    await chooser.selectOption('added');
    await worker.stop();
    await option.waitFor({ state: 'detached' });
    await chooser.locator('option:checked', { hasText: 'scripted' }).waitFor({ state: 'attached' });
    await page.locator('[data-figure=workers]', { hasText: /^1$/ }).waitFor();
  }));
