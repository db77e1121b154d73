/** Two ways to get a Redis server program: the system's package manager, and building it. */
import { mkdirSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { findNpm, runTool, type ToolFolders } from '../run-tool.ts';
import { installSystemPackage } from '../system-packages.ts';
import { print, showStep } from '../terminal.ts';

const BUILT_BY = 'redis-memory-server@0.17.1';

/** Installs Redis or Valkey with the system's package manager. @param isAllowed INFERQL_INSTALL */
export async function installFromSystem(project: ToolFolders, isAllowed: boolean): Promise<void> {
  const redis = 'redis';
  const names = {
    'apt-get': 'redis-server',
    apk: redis,
    dnf: redis,
    yum: redis,
    zypper: redis,
    pacman: 'valkey',
    brew: redis,
  };
  await installSystemPackage(project, 'Installing Redis', names, isAllowed);
}

/** Compiles Redis. @param builtPathFile gets the path of the program */
export async function buildFromSource(project: ToolFolders, builtPathFile: string): Promise<void> {
  const builtDir = dirname(builtPathFile);
  mkdirSync(builtDir, { recursive: true });
  print(`  No Redis was found or installed. Building it from source in ${builtDir}; this takes some minutes.`);
  const [npm, ...first] = findNpm();
  const install = [...first, 'install', '--prefix', builtDir, '--ignore-scripts', '--no-save', BUILT_BY];
  await showStep(`Building Redis (${BUILT_BY})`, async () => {
    await runTool(project, 'redis-build-install', npm, install);
    await runTool(project, 'redis-build', process.execPath, [
      '--input-type=module',
      '--eval',
      buildProgram(builtDir, `${builtPathFile}.unfinished`),
    ]);
  });
  renameSync(`${builtPathFile}.unfinished`, builtPathFile);
}

/** Downloads and compiles Redis, in a separate process that can be ended. @param pathFile gets the program's path */
function buildProgram(dir: string, pathFile: string): string {
  const library = pathToFileURL(join(dir, 'node_modules/redis-memory-server/lib/util/RedisBinary.js')).href;
  return [
    `import { writeFileSync } from 'node:fs';`,
    `const { default: library } = await import(${JSON.stringify(library)});`,
    `const path = await (library.default ?? library).getPath({ downloadDir: ${JSON.stringify(join(dir, 'versions'))} });`,
    `writeFileSync(${JSON.stringify(pathFile)}, path);`,
  ].join('\n');
}
