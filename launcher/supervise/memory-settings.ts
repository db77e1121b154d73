import { availableParallelism } from 'node:os';

/**
 * Environment variables of Node and malloc for servers and workers. Images are large, short-lived buffers, so fewer arenas and a small
 * young generation take less memory (docs/performance-experiments.md), and malloc should not learn from the first ones to keep what is freed.
 * @param env the user's environment, whose values win
 */
export function memorySettings(env: Readonly<Record<string, string | undefined>>) {
  return {
    MALLOC_ARENA_MAX: env.MALLOC_ARENA_MAX || String(Math.max(2, availableParallelism())),
    MALLOC_TRIM_THRESHOLD_: env.MALLOC_TRIM_THRESHOLD_ || '131072',
    NODE_OPTIONS: `--max-semi-space-size=8 ${env.NODE_OPTIONS ?? ''}`.trim(),
  };
}
