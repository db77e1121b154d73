/**
 * `npm run dev`: the system of `npm start`, whose server, workers and page follow the sources. A change of TypeScript or Lua compiles all
 * packages into a separate folder, not dist/, and restarts what imports it. Vite's dev server serves the page.
 */
import { watch } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { compileInPlace, generateDocuments, VITE_CONFIG } from '../build/compile.ts';
import { prepareModels } from '../prepare-models.ts';
import type { Project } from '../project.ts';
import { provideRedisServer } from '../redis/find-redis.ts';
import { startPrivateRedis } from '../redis/private-redis.ts';
import { runSystem } from '../run-system.ts';
import { withSetupLock } from '../setup/setup.ts';
import type { RunningSystem } from '../supervise/running-system.ts';
import { describeFailure, print, printError } from '../terminal.ts';

/** The packages whose code each part runs. */
const CODE_OF = {
  server: ['server', 'queue', 'settings', 'images'],
  worker: ['worker', 'queue', 'settings', 'images', 'converter'],
} as const;
const WITH_DOCUMENTS = ['client'];
/** An editor may write a file in several steps, and a checkout many files. */
const QUIET_MS = 150;

export async function develop(clone: Project): Promise<void> {
  const project = { ...clone, distDir: join(clone.setupDir, 'dev-build') };
  const { dir: cwd, stateDir, modelsDir, distDir } = project;
  await runSystem({
    prepare: (settings, redisUrl) =>
      withSetupLock(project, async () => {
        const binary = redisUrl ? undefined : await provideRedisServer(project, settings);
        await compile(project);
        const converterDir = join(distDir, 'converter');
        await prepareModels({ ...project, converterDir, converter: join(converterDir, 'main.js') });
        const redis = binary ? await startPrivateRedis(binary, stateDir) : { url: redisUrl!, stop: async () => {} };
        return {
          ...{ cwd, stateDir, modelsDir, redis },
          programs: { server: join(distDir, 'server/main.js'), worker: join(distDir, 'worker/main.js') },
          // Subscriptions of an open page would delay a restart.
          env: { INFERQL_DRAIN_MS: '200', INFERQL_DRAIN_LIMIT_MS: '5000', INFERQL_WEB_DIR: join(clone.distDir, 'web') },
          companions: {
            page: {
              args: [
                join(cwd, 'node_modules/vite/bin/vite.js'),
                ...['web', ...VITE_CONFIG],
                ...['--host', '127.0.0.1'],
                ...['--clearScreen', 'false'],
              ],
            },
          },
        };
      }),
    onReady: (system) => {
      // Before it is said: a change from then on must not be missed.
      watchSources(project, system);
      print(
        '  Watching the sources. Open the page at the address that Vite printed above; it updates when a source changes.',
      );
    },
  });
}

async function compile(project: Project): Promise<void> {
  await generateDocuments(project);
  await compileInPlace(project);
  const problems = await readFile(join(project.logsDir, 'tsc.log'), 'utf8').catch(() => '');
  if (problems.trim()) printError(problems.trimEnd());
}

/** Compiles after each change and restarts what runs the changed package. One at a time: changes meanwhile are compiled next. */
function watchSources(project: Project, system: RunningSystem): void {
  const changed = new Set<string>();
  let quiet: NodeJS.Timeout | undefined;
  let isCompiling = false;

  const onChange = (folder: string, path: string | null) => {
    if (!path || !/\.(ts|tsx|lua|graphql)$/.test(path) || /\.test\.ts$|(^|\/)(generated|test)\//.test(path)) return;
    changed.add(folder);
    clearTimeout(quiet);
    quiet = setTimeout(update, QUIET_MS);
  };

  async function update(): Promise<void> {
    if (isCompiling || changed.size === 0) return;
    isCompiling = true;
    const folders = [...changed];
    changed.clear();
    try {
      const startedAt = Date.now();
      await withSetupLock(project, () => compile(project));
      const parts = (['server', 'worker'] as const).filter((part) =>
        CODE_OF[part].some((folder) => folders.includes(folder)),
      );
      for (const part of parts) system.restart(part);
      if (parts.length > 0)
        print(`  Changed: ${folders.join(', ')}. Restarted in ${Date.now() - startedAt} ms: ${parts.join(', ')}.`);
    } catch (error) {
      printError(describeFailure(error));
    }
    isCompiling = false;
    await update();
  }

  for (const folder of new Set([...CODE_OF.server, ...CODE_OF.worker, ...WITH_DOCUMENTS])) {
    watch(join(project.dir, folder), { recursive: true }, (_event, path) => onChange(folder, path));
  }
  watch(join(project.dir, 'schema.graphql'), () => onChange('client', 'schema.graphql'));
}
