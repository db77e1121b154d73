import { defineConfig } from 'vitest/config';

export default defineConfig({
  // Node loads graphql as CommonJS everywhere; Vite would give our own files its ES module, a second copy that does not know the first.
  resolve: { alias: [{ find: /^graphql$/, replacement: 'graphql/index.js' }] },
  test: {
    include: ['**/*.test.ts', '**/*.test.tsx'],
    exclude: ['node_modules/**', 'dist/**', '.inferql/**'],
    // Real engines, browsers and Redis servers share the cores: a test waits for events, this only bounds one that hangs.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    // The same for what is looked at again until it is so.
    expect: { poll: { timeout: 30_000 } },
    maxWorkers: 2,
  },
});
