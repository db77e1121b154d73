import { defineConfig } from 'vitest/config';
import { ALL_SUITES, listSuites } from './testing/suites.ts';

const suites = listSuites(import.meta.dirname);

export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: ALL_SUITES.map((name) => ({
      // Node loads graphql as CommonJS everywhere; Vite would give our own files its ES module, a second copy that does not know the first.
      resolve: { alias: [{ find: /^graphql$/, replacement: 'graphql/index.js' }] },
      test: {
        name,
        include: suites[name],
        // Real engines, browsers and Redis servers share the cores: a test waits for events, this only bounds one that hangs.
        testTimeout: 180_000,
        hookTimeout: 180_000,
        // The same for what is looked at again until it is so.
        expect: { poll: { timeout: 30_000 } },
      },
    })),
  },
});
