/** `npm start`: sets the clone up and runs the system. */
import { bundledProgram } from '../build/bundle.ts';
import type { Project } from '../project.ts';
import { provideRedisServer } from '../redis/find-redis.ts';
import { startPrivateRedis } from '../redis/private-redis.ts';
import { runSystem } from '../run-system.ts';
import { setUpProject, withSetupLock } from '../setup/setup.ts';

export async function start(project: Project): Promise<void> {
  await runSystem({
    prepare: (settings, redisUrl) =>
      withSetupLock(project, async () => {
        const binary = redisUrl ? undefined : await provideRedisServer(project, settings);
        await setUpProject(project);
        const { dir: cwd, stateDir, modelsDir, distDir } = project;
        const redis = binary ? await startPrivateRedis(binary, stateDir) : { url: redisUrl!, stop: async () => {} };
        const programs = {
          server: bundledProgram(distDir, 'server/main'),
          worker: bundledProgram(distDir, 'worker/main'),
        };
        return { cwd, stateDir, modelsDir, programs, redis };
      }),
  });
}
