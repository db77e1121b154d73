import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';
import { ALL_SUITES, listSuites, type Suite } from './testing/suites/suites.ts';

/** Suites whose files share processes, which testing/suites/shared-process.ts keeps clean. */
const SHARED: readonly Suite[] = ['unit', 'integration', 'e2e', 'browser'];
const suites = listSuites(import.meta.dirname);
const WORKERS = Math.min(4, Math.ceil(availableParallelism() * 1.5));

export default defineConfig({
  test: {
    // Files of most suites wait for processes, leases and browsers half of their time.
    maxWorkers: WORKERS,
    projects: ALL_SUITES.map((name) => ({
      // Node loads graphql as CommonJS everywhere; Vite would give our own files its ES module, a second copy that does not know the first.
      resolve: { alias: [{ find: /^graphql$/, replacement: 'graphql/index.js' }] },
      test: {
        name,
        include: suites[name],
        // onnxruntime would report the models of the tests to its vendor.
        env: { ORT_DISABLE_TELEMETRY: '1' },
        ...(SHARED.includes(name) ? { isolate: false, setupFiles: ['testing/suites/shared-process.ts'] } : {}),
        // Real engines, browsers and Redis servers share the cores: a test waits for events, this only bounds one that hangs.
        testTimeout: 180_000,
        hookTimeout: 180_000,
        // The same for what is looked at again until it is so.
        expect: { poll: { timeout: 30_000 } },
      },
    })),
  },
});
