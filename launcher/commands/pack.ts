/** `npm run pack [-- FOLDER]`: the packages as they would be published, as tarballs in tarballs/ or another folder. */
import { execFileSync } from 'node:child_process';
import { readdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { makeFolder } from '@inferql/queue/make-folder';
import { SHIPPED_PACKAGES } from '../build/dist-packages.ts';
import { stagePackage, stagePage } from '../build/published-package.ts';
import { findRepository } from '../build/repository-url.ts';
import type { Project } from '../project.ts';
import { findNpm } from '../run-tool.ts';
import { buildProject, withSetupLock } from '../setup/setup.ts';
import { print } from '../terminal.ts';

// The folder may be any, and hold what others packed.
const OURS = /^inferql-.*\.tgz$/;

export async function pack(project: Project, [folder = 'tarballs']: readonly string[]): Promise<void> {
  const { dir, distDir, unfinishedDir } = project;
  const tarballsDir = resolve(dir, folder);
  await withSetupLock(project, async () => {
    await buildProject(project);
    makeFolder(tarballsDir);
    for (const name of readdirSync(tarballsDir)) if (OURS.test(name)) rmSync(join(tarballsDir, name));
    const repository = findRepository(dir);
    const staged = [...SHIPPED_PACKAGES, 'web'].map((folder) => {
      const stagedDir = join(unfinishedDir, 'packages', folder);
      const stage = folder === 'web' ? stagePage : stagePackage;
      stage({ projectDir: dir, folder, builtDir: join(distDir, folder), stagedDir, repository });
      return stagedDir;
    });
    for (const filename of packFolders(staged, tarballsDir)) print(`  ${join(tarballsDir, filename)}`);
    if (!repository)
      print(
        '  The clone has no remote `origin`, so the packages have no repository field, and npm cannot publish them with provenance.',
      );
  });
}

/** All in one call: npm takes a second to start. @returns the names of the tarballs */
function packFolders(folders: readonly string[], tarballsDir: string): string[] {
  const [npm, ...first] = findNpm();
  const args = [...first, 'pack', '--json', '--pack-destination', tarballsDir, ...folders];
  const output = execFileSync(npm, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  return (JSON.parse(output) as { filename: string }[]).map(({ filename }) => filename);
}
