/** Runs a whole system from installed packages: no clone, no build. */
import { existsSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { makeFolder } from '@inferql/queue/make-folder';
import { waitForLock } from './lock.mjs';
import { prepareModels } from './prepare-models.ts';
import { type MissingEngine, provideEngine } from './provide-engine.ts';
import { provideRedisServer } from './redis/find-redis.ts';
import { startPrivateRedis } from './redis/private-redis.ts';
import { runSystem } from './run-system.ts';
import { endLeftoverTool } from './run-tool.ts';
import { outliveReaders, print, SetupError } from './terminal.ts';

export interface InstalledPrograms {
  /** The paths of `main.js` of the packages. */
  server: string;
  worker: string;
  converter: string;
}

export interface ServeOptions {
  /** The folder in which the command was called. It contains `.env` and the state folder. */
  dir: string;
  /** The folder of models. */
  modelsDir: string;
  /** The built page, if it is installed. */
  webDir: string | undefined;
  programs: InstalledPrograms;
  /** The engine that should be installed but is not. */
  missingEngine: MissingEngine | undefined;
}

/**
 * Serves a folder of models with a server, workers and, if REDIS_URL is not set, a private Redis. Settings come from the environment and
 * from `.env`. Exits the process: 0 after a signal, 1 after a failure.
 */
export async function serve({ dir, modelsDir, webDir, programs, missingEngine }: ServeOptions): Promise<void> {
  outliveReaders();
  const stateDir = resolve(dir, process.env.INFERQL_STATE_DIR || '.inferql');
  const folders = { dir, setupDir: stateDir, logsDir: join(stateDir, 'logs') };
  await runSystem({
    async prepare(settings, redisUrl) {
      if (!existsSync(modelsDir))
        throw new SetupError(`There is no folder ${modelsDir}. It must contain one folder per model.`);
      for (const path of [stateDir, folders.logsDir]) makeFolder(path, 0o700);
      const lock = await waitForLock(join(stateDir, 'setup.lock'), (pid) =>
        print(`  Another process (${pid}) is preparing this folder; waiting for it.`),
      );
      try {
        await endLeftoverTool(folders);
        if (missingEngine) await provideEngine(folders, missingEngine, settings.install);
        const binary = redisUrl ? undefined : await provideRedisServer(folders, settings);
        await prepareModels({
          ...folders,
          stateDir,
          modelsDir,
          converterDir: dirname(programs.converter),
          converter: programs.converter,
        });
        return {
          cwd: dir,
          stateDir,
          modelsDir,
          programs,
          env: webDir ? { INFERQL_WEB_DIR: webDir } : {},
          redis: binary ? await startPrivateRedis(binary, stateDir) : { url: redisUrl!, stop: async () => {} },
        };
      } finally {
        lock.release();
      }
    },
  });
}
