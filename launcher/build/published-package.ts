/** A built package as it is published: with license, the repository's address, and source maps that hold their sources. */
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Staging {
  /** The folder of the sources: `README.md` and `LICENSE` come from there, and what source maps show. */
  projectDir: string;
  /** The package's folder below `projectDir`: `queue`. */
  folder: string;
  /** Where it is built. */
  builtDir: string;
  /** A folder that does not exist yet. */
  stagedDir: string;
  /** The address of the repository, or undefined if none is known. */
  repository: string | undefined;
}

/**
 * Copies a built package to `stagedDir`, ready for `npm pack`.
 * @throws if it has no README.md
 */
export function stagePackage({ projectDir, folder, builtDir, stagedDir, repository }: Staging): void {
  cpSync(builtDir, stagedDir, { recursive: true });
  describePackage({ projectDir, folder, stagedDir, repository }, join(builtDir, 'package.json'));
  for (const path of readdirSync(stagedDir, { recursive: true, encoding: 'utf8' })) {
    if (path.endsWith('.js.map')) embedSource(join(stagedDir, path), join(projectDir, folder), path);
  }
}

/** The built page as a package: its files are in `dist/`. */
export function stagePage(staging: Staging): void {
  // The stamp of the build is for the next build alone.
  const isPublished = (path: string) => !path.endsWith('/.built-from');
  cpSync(staging.builtDir, join(staging.stagedDir, 'dist'), { recursive: true, filter: isPublished });
  describePackage(staging, join(staging.projectDir, staging.folder, 'package.json'));
}

function describePackage(
  { projectDir, folder, stagedDir, repository }: Omit<Staging, 'builtDir'>,
  manifestPath: string,
): void {
  const { devDependencies: _, ...manifest } = JSON.parse(readFileSync(manifestPath, 'utf8'));
  const published = {
    ...manifest,
    ...(repository && { repository: { type: 'git', url: repository, directory: folder } }),
    publishConfig: { access: 'public', provenance: true },
  };
  writeFileSync(join(stagedDir, 'package.json'), `${JSON.stringify(published, null, 2)}\n`);
  cpSync(join(projectDir, 'LICENSE'), join(stagedDir, 'LICENSE'));
  cpSync(join(projectDir, folder, 'README.md'), join(stagedDir, 'README.md'));
}

/** The compiler names the sources by their path from where it wrote. They are not published, so the map holds them. */
function embedSource(mapPath: string, sourceDir: string, path: string): void {
  const source = path.replace(/\.js\.map$/, '.ts');
  if (!existsSync(join(sourceDir, source))) return;
  const map = JSON.parse(readFileSync(mapPath, 'utf8')) as object;
  const name = source.split('/').at(-1);
  const sourcesContent = [readFileSync(join(sourceDir, source), 'utf8')];
  writeFileSync(mapPath, JSON.stringify({ ...map, sourceRoot: '', sources: [name], sourcesContent }));
}
