// node_modules from the lock file.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectDir, stampsDir } from './places.mjs';
import { SetupError, showStep } from './screen.mjs';
import { digestFiles, readStamp, removeStamp, writeStamp } from './stamps.mjs';
import { npmCommand, runTool } from './tools.mjs';

const stampPath = join(stampsDir, 'packages');
// npm writes this one last, so a half-done install does not have it.
const installedLockPath = join(projectDir, 'node_modules', '.package-lock.json');

/** Stands for everything that is installed: what is built with it is built anew when it changes. */
export function digestPackages() {
  return digestFiles(['package-lock.json', '.npmrc'], process.platform, process.arch);
}

export async function installPackages() {
  const digest = digestPackages();
  if (existsSync(installedLockPath)) {
    if (readStamp(stampPath) === digest) return;
    if (isInstalled()) {
      writeStamp(stampPath, digest);
      return;
    }
  }
  removeStamp(stampPath);
  const [command, ...first] = npmCommand();
  // NODE_ENV=production would leave out the compiler.
  const args = [...first, 'ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund'];
  await showStep('Installing packages (npm ci)', () => runTool('npm-ci', command, args));
  if (!existsSync(installedLockPath)) throw new SetupError('npm ci ended without an error and without node_modules.');
  writeStamp(stampPath, digest);
}

/** Somebody else, a person or an image, may have installed the lock file's packages already. */
function isInstalled() {
  const wanted = readPackages(join(projectDir, 'package-lock.json'));
  const present = readPackages(installedLockPath);
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '' || entry.link) return true;
    const installed = present[path];
    if (!installed) return (entry.optional || entry.devOptional) && !isMadeForThisMachine(entry);
    return installed.version === entry.version && installed.integrity === entry.integrity;
  });
}

function readPackages(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).packages ?? {};
  } catch {
    return {};
  }
}

function isMadeForThisMachine({ os, cpu, libc }) {
  // Which C library runs here is slow to find out, and npm has found out when it installed the rest.
  if (libc || (!os && !cpu)) return false;
  return (!os || os.includes(process.platform)) && (!cpu || cpu.includes(process.arch));
}
