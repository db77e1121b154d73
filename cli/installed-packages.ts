/** The other packages, as installed next to this one. */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CommandFailure, EXIT } from './exit-codes.ts';

const packageDir = import.meta.dirname;

/** The models that come with the command: ResNet50. */
export const modelsDir = join(packageDir, 'models');

/**
 * The file behind an entry of a package, such as `@inferql/server/main`.
 * @throws CommandFailure that says what to install
 */
export function findEntry(entry: string): string {
  try {
    return fileURLToPath(import.meta.resolve(entry));
  } catch {
    const name = entry.split('/').slice(0, 2).join('/');
    throw new CommandFailure(EXIT.failed, `${name} is not installed. Install it: npm install ${name}`);
  }
}

/** The engine onnxruntime, if the worker does not find it. npm leaves it out when its install script fails. */
export function findMissingEngine(workerMain: string): { package: string; installDir: string } | undefined {
  const require = createRequire(workerMain);
  try {
    require.resolve('onnxruntime-node/package.json');
    return undefined;
  } catch {
    const { optionalDependencies } = require('./package.json') as { optionalDependencies: Record<string, string> };
    const [installDir, inside] = workerMain.split(`${sep}node_modules${sep}`);
    // A clone installs its packages differently.
    if (!installDir || !inside) return undefined;
    return { package: `onnxruntime-node@${optionalDependencies['onnxruntime-node']}`, installDir };
  }
}

/** The folder of the built page: the package @inferql/web, or the build of a clone. */
export function findPage(): string | undefined {
  const candidates = [resolveOrNothing('@inferql/web/index.html'), join(packageDir, '../web/index.html')];
  const page = candidates.find((path) => path !== undefined && existsSync(path));
  return page && dirname(page);
}

function resolveOrNothing(entry: string): string | undefined {
  try {
    return fileURLToPath(import.meta.resolve(entry));
  } catch {
    return undefined;
  }
}
