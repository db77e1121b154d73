import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { stagePackage } from '@inferql/launcher/build/published-package';
import { buildSystem, projectDir } from '../build.ts';

/**
 * Packs one package from a build of the present sources.
 * @param folder `client`
 * @param dir an empty folder, which gets the package in `staged/` next to its tarball
 * @returns the path of the tarball
 */
export async function packPackage(folder: string, dir: string): Promise<string> {
  const stagedDir = join(dir, 'staged');
  const builtDir = join(await buildSystem(), folder);
  stagePackage({ projectDir, folder, builtDir, stagedDir, repository: undefined });
  const args = ['pack', '--json', '--pack-destination', dir];
  const { stdout } = await promisify(execFile)('npm', args, { cwd: stagedDir });
  const [{ filename }] = JSON.parse(stdout) as [{ filename: string }];
  return join(dir, filename);
}
