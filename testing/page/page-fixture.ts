/** Shared by the tests of the page: per file one system that serves the page of the current sources, and one browser. */
import type { Browser, BrowserContextOptions } from 'playwright-core';
import { afterAll, beforeAll, expect } from 'vitest';
import { buildSystem } from '../build.ts';
import { type SystemOptions, startSystem, type TestSystem } from '../system/system.ts';
import { launchBrowser, openPage, type WatchedPage } from './browser.ts';
import { buildTestPage } from './page-build.ts';

export interface PageFixture {
  readonly system: TestSystem;
  readonly browser: Browser;
  /** The folder with the built page. */
  readonly webDir: string;
  /**
   * Opens the page, waits until it is connected, and closes it at the end. Resolves with what `use` does.
   * @throws if the page complains
   */
  withPage<Result>(use: (watched: WatchedPage) => Promise<Result>, options?: BrowserContextOptions): Promise<Result>;
}

/**
 * Starts both before the tests of a file and ends them afterwards.
 * @param acceptsComplaints for tests that cause errors in the console
 */
export function setUpPage(options: SystemOptions = {}, { acceptsComplaints = false } = {}): PageFixture {
  let webDir: string;
  let system: TestSystem | undefined;
  let browser: Browser | undefined;

  beforeAll(async () => {
    // The first file of a run builds both.
    [webDir] = await Promise.all([buildTestPage(), buildSystem()]);
    const env = { ...options.env, INFERQL_WEB_DIR: webDir };
    [system, browser] = await Promise.all([startSystem({ ...options, env }), launchBrowser()]);
  });

  afterAll(async () => {
    await browser?.close();
    await system?.end();
  });

  return {
    get system() {
      return system!;
    },
    get browser() {
      return browser!;
    },
    get webDir() {
      return webDir;
    },
    async withPage(use, context) {
      const watched = await openPage(browser!, system!.url, context);
      try {
        await watched.page.getByText('Live', { exact: true }).waitFor();
        const result = await use(watched);
        if (!acceptsComplaints) expect(watched.complaints).toEqual([]);
        return result;
      } finally {
        await watched.close();
      }
    },
  };
}
