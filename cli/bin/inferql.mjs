#!/usr/bin/env node
// The command. Plain JavaScript, so that it can say what to do if nothing is built yet.
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const packageDir = join(dirname(fileURLToPath(import.meta.url)), '..');
const projectDir = join(packageDir, '..');
// In the published package the code is next to this file's folder; in a clone it is built into dist/, and bundled.
const main = [join(packageDir, 'main.js'), join(projectDir, 'dist', 'bundles', 'cli', 'main.js')].find((path) =>
  existsSync(path),
);

const { version, engines } = JSON.parse(readFileSync(join(packageDir, 'package.json'), 'utf8'));
const [oldest] = /\d+\.\d+/.exec(engines.node);

if (isOlder(process.versions.node, oldest)) {
  // The code cannot even be loaded: `inferql doctor` could not say so.
  console.error(
    `InferQL needs Node ${oldest} or later, and this is ${process.versions.node} (${process.execPath}). Install a newer one: https://nodejs.org`,
  );
  process.exitCode = 1;
} else if (main) {
  const cloneDir = main === join(packageDir, 'main.js') ? undefined : projectDir;
  const { runInferql } = await import(pathToFileURL(main).href);
  await runInferql(process.argv, version, cloneDir);
} else {
  console.error(
    `inferql is not built yet. In ${projectDir}, run\n\n  npm start\n\nwhich sets everything up and starts the service.`,
  );
  process.exitCode = 3;
}

/** @param {string} found @param {string} least major and minor version */
function isOlder(found, least) {
  const [major, minor] = found.split('.').map(Number);
  const [leastMajor, leastMinor] = least.split('.').map(Number);
  return major < leastMajor || (major === leastMajor && minor < leastMinor);
}
