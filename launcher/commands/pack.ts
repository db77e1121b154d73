/** `npm run pack`: the packages as they would be published, as tarballs in tarballs/. */
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Project } from '../project.ts';
import { findNpm } from '../run-tool.ts';
import { SHIPPED_PACKAGES } from '../setup/assemble.ts';
import { buildProject, withSetupLock } from '../setup/setup.ts';
import { print } from '../terminal.ts';

export async function pack(project: Project): Promise<void> {
  const tarballsDir = join(project.dir, 'tarballs');
  await withSetupLock(project, async () => {
    await buildProject(project);
    rmSync(tarballsDir, { recursive: true, force: true });
    mkdirSync(tarballsDir);
    const [npm, ...first] = findNpm();
    for (const packageDir of [...SHIPPED_PACKAGES.map((folder) => join(project.distDir, folder)), stagePage(project)]) {
      cpSync(join(project.dir, 'LICENSE'), join(packageDir, 'LICENSE'));
      const output = execFileSync(npm, [...first, 'pack', '--json', '--pack-destination', tarballsDir], {
        cwd: packageDir,
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const [packed] = JSON.parse(output) as [{ filename: string }];
      print(`  tarballs/${packed.filename}`);
    }
  });
}

/** The built page as a package. */
function stagePage({ dir, distDir, unfinishedDir }: Project): string {
  const staged = join(unfinishedDir, 'web-package');
  cpSync(join(distDir, 'web'), join(staged, 'dist'), { recursive: true });
  const { devDependencies: _, ...manifest } = JSON.parse(readFileSync(join(dir, 'web/package.json'), 'utf8'));
  writeFileSync(join(staged, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
  return staged;
}
