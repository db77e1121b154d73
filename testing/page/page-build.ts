import { execFile } from 'node:child_process';
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { isPageBuilt, VITE_CONFIG } from '@inferql/launcher/build/compile';
import { listFiles } from '@inferql/launcher/build-stamps';
import { buildOnce, copyBuilt, nameBuild, project, projectDir } from '../build.ts';

const buildsDir = join(projectDir, '.inferql', 'test-builds');
const KEPT_BUILDS = 3;

/**
 * The folder of the web page built from the current sources, for the setting INFERQL_WEB_DIR; built if there is none.
 * @throws if it cannot be built
 */
export async function buildTestPage(): Promise<string> {
  const sources = listFiles(projectDir, ['web', 'client'], (path) => !/\.test\.tsx?$/.test(path));
  const dir = join(buildsDir, nameBuild('page', ['package-lock.json', ...sources]));
  await buildOnce(dir, async (fresh) => {
    await removeOldBuilds();
    if (await copyBuilt(join(project.distDir, 'web'), fresh, () => isPageBuilt(project))) return;
    // A separate process: the tests' NODE_ENV would make it a page for development.
    const vite = join(projectDir, 'node_modules/vite/bin/vite.js');
    const args = [vite, 'build', 'web', ...VITE_CONFIG, '--outDir', fresh, '--emptyOutDir', '--logLevel', 'error'];
    await promisify(execFile)(process.execPath, args, {
      cwd: projectDir,
      env: { ...process.env, NODE_ENV: 'production' },
    });
  });
  return dir;
}

async function removeOldBuilds(): Promise<void> {
  const names = (await readdir(buildsDir)).filter((name) => /^page-[0-9a-f]+$/.test(name));
  const built = await Promise.all(
    names.map(async (name) => {
      const path = join(buildsDir, name);
      // Another run may be removing it, too.
      return { path, atMs: (await stat(path).catch(() => undefined))?.mtimeMs ?? 0 };
    }),
  );
  const old = built.sort((a, b) => b.atMs - a.atMs).slice(KEPT_BUILDS);
  await Promise.all(old.map(({ path }) => rm(path, { recursive: true, force: true })));
}
