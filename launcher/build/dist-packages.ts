/** Turns a folder of compiled code into packages that Node resolves, and that can be published as they are. */
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The packages that are built, in dependency order. */
export const SHIPPED_PACKAGES = [
  'queue',
  'settings',
  'launcher',
  'images',
  'server',
  'converter',
  'worker',
  'client',
  'cli',
];
// Run together with the packages, but never shipped.
export const SUPPORT_PACKAGES = ['testing', 'bench', 'e2e'];

// Files that the running code reads, and documents for people.
const ASSET = /(\.lua|\.wasm|\.mjs|\.d\.mts|(^|\/)README\.md)$/;
const TEST_FOLDER = /(^|\/)(test|golden|generated|node_modules)\//;

/** The fields of a package.json that are changed here. */
interface Manifest {
  exports?: Record<string, string>;
  devDependencies?: Record<string, string>;
}

/**
 * Adds what the compiler does not emit to each compiled package below `outDir`: its package.json, with `exports` that name the compiled
 * files, its assets, and the links by which the packages find each other.
 */
export function assembleDist(projectDir: string, outDir: string): void {
  const links = join(outDir, 'node_modules', '@inferql');
  mkdirSync(links, { recursive: true });
  for (const folder of [...SHIPPED_PACKAGES, ...SUPPORT_PACKAGES]) {
    const source = join(projectDir, folder);
    const target = join(outDir, folder);
    if (!existsSync(target) || !existsSync(join(source, 'package.json'))) continue;
    for (const path of readdirSync(source, { recursive: true, encoding: 'utf8' })) {
      if (!ASSET.test(path) || TEST_FOLDER.test(`${path}/`)) continue;
      mkdirSync(dirname(join(target, path)), { recursive: true });
      cpSync(join(source, path), join(target, path));
    }
    const manifest = JSON.parse(readFileSync(join(source, 'package.json'), 'utf8')) as Manifest;
    writeFileSync(join(target, 'package.json'), `${JSON.stringify(describeBuild(manifest), null, 2)}\n`);
    if (folder === 'cli') copyModels(projectDir, target);
    if (!existsSync(join(links, folder))) symlinkSync(join('..', '..', folder), join(links, folder), 'dir');
  }
}

/** What `inferql serve` serves without a folder, and `inferql init` copies. */
function copyModels(projectDir: string, target: string): void {
  for (const name of ['resnet50', 'samples']) {
    cpSync(join(projectDir, 'models', name), join(target, 'models', name), { recursive: true });
  }
}

/** The manifest of the built package: the same, with compiled files behind `exports` and nothing that only its sources need. */
function describeBuild({ devDependencies: _, exports: entries, ...manifest }: Manifest): object {
  if (!entries) return manifest;
  const built = Object.entries(entries).map(([name, file]) => [
    name,
    file.endsWith('.ts') ? compiledEntry(file) : file,
  ]);
  // For tools that do not read `exports`.
  const root = entries['.']?.endsWith('.ts') ? compiledEntry(entries['.']) : undefined;
  return { ...manifest, ...(root && { main: root.default, types: root.types }), exports: Object.fromEntries(built) };
}

function compiledEntry(file: string): { types: string; default: string } {
  const path = file.slice(0, -'.ts'.length);
  return { types: `${path}.d.ts`, default: `${path}.js` };
}
