// What the tests need beyond a start: programs to run and to look with, and their places in the environment.
import { join } from 'node:path';
import { provideChromium } from './chromium.mjs';
import { projectDir } from './places.mjs';
import { provideRedisServer } from './redis-binary.mjs';
import { complain } from './screen.mjs';
import { setUpProject, withSetupLock } from './setup.mjs';

/** @returns {Promise<{ vitest: string, env: Record<string, string | undefined> }>} */
export async function setUpTests() {
  const { redisServer, chromium } = await withSetupLock(async () => {
    const redisServer = await provideRedisServer();
    await setUpProject();
    return { redisServer, chromium: await provideChromium() };
  });
  if (!chromium)
    complain(
      '  There is no Chromium and no way to install one: the tests of the page will fail. INFERQL_CHROMIUM may name one.',
    );
  return {
    vitest: join(projectDir, 'node_modules/vitest/vitest.mjs'),
    env: { ...process.env, INFERQL_REDIS_SERVER: redisServer, ...(chromium && { INFERQL_CHROMIUM: chromium }) },
  };
}
