// What has to happen before TypeScript and packages can be used: `npm ci`, and a bundle of launcher/. The rest is in launcher/.
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  closeSync,
  existsSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { waitForLock } from '../launcher/lock.mjs';
import { endGroup, identifyProcess } from '../launcher/processes.mjs';
import { describeFullDisk, describeSystemError } from '../launcher/system-errors.mjs';

/** Found from this file: the scripts may be started from anywhere. */
export const projectDir = join(dirname(fileURLToPath(import.meta.url)), '..');
const setupDir = join(projectDir, '.inferql');
const logPath = join(setupDir, 'logs/npm-ci.log');
const stampPath = join(setupDir, 'stamps/packages');
const launcherDir = join(setupDir, 'launcher');
const sourcesPath = join(launcherDir, 'sources.json');
const recordPath = join(setupDir, 'npm-ci.json');
// npm writes this file last, so a half-done install does not have it.
const modulesDir = join(projectDir, 'node_modules');
const installedLockPath = join(modulesDir, '.package-lock.json');
const SHOWN_LINES = 40;
// Vite and esbuild take the first two for the end of a path, and the third for a pattern; codegen takes a path with one of the others for text.
const UNSUITABLE = /[#?*!^<>`‘“\n]/;

/** Installs what the lock file names, if it is not installed, and loads launcher/main.ts. Exits with 1 if that fails. */
export async function loadLauncher() {
  try {
    const [unsuitable] = UNSUITABLE.exec(projectDir) ?? [];
    if (unsuitable) {
      throw explain(
        `The path of this folder has the character ${JSON.stringify(unsuitable)}, which its tools do not take: ${projectDir}\nMove or rename it.`,
      );
    }
    for (const name of ['logs', 'stamps', 'launcher'])
      mkdirSync(join(setupDir, name), { recursive: true, mode: 0o700 });
    if (!isInstalled()) await installPackages();
    return await import(pathToFileURL(await bundleLauncher()).href);
  } catch (error) {
    console.error(`\n${describeError(error)}`);
    process.exit(1);
  }
}

/** The files decide, not the stamp alone: node_modules may have been removed, or installed by a person or an image. */
function isInstalled() {
  if (!existsSync(installedLockPath)) return false;
  const digest = digestLockFile();
  if (readText(stampPath) === digest) return true;
  if (!hasLockedPackages()) return false;
  writeStamp(digest);
  return true;
}

function digestLockFile() {
  const hash = createHash('sha256');
  for (const name of ['package-lock.json', '.npmrc']) hash.update(readText(join(projectDir, name))).update('\0');
  return hash.update(`${process.platform} ${process.arch}`).digest('hex');
}

function hasLockedPackages() {
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
  return readJson(path).packages ?? {};
}

function isMadeForThisMachine({ os, cpu, libc }) {
  // Which C library runs here is slow to find out, and npm has found out when it installed the rest.
  if (libc || (!os && !cpu)) return false;
  return (!os || os.includes(process.platform)) && (!cpu || cpu.includes(process.arch));
}

async function installPackages() {
  const lock = await waitForLock(join(setupDir, 'npm-ci.lock'), (pid) =>
    console.log(`  Another process (${pid}) is installing packages; waiting for it.`),
  );
  try {
    await endLeftover();
    if (isInstalled()) return;
    // npm would empty the folder that it leads to, which is another project's.
    if (lstatSync(modulesDir, { throwIfNoEntry: false })?.isSymbolicLink()) {
      throw explain(
        `${modulesDir} is a link to a folder whose packages are not those of package-lock.json. Run npm ci there, or remove the link.`,
      );
    }
    rmSync(stampPath, { force: true });
    console.log('  … Installing packages (npm ci)');
    const startedAt = Date.now();
    await runNpmCi();
    if (!existsSync(installedLockPath)) throw explain('npm ci ended without an error and without node_modules.');
    writeStamp(digestLockFile());
    console.log(`  ✓ Installing packages (npm ci), ${((Date.now() - startedAt) / 1000).toFixed(1)} s`);
  } finally {
    lock.release();
  }
}

/** In its own process group, recorded, so that the next start finds it if this process is killed. */
async function runNpmCi() {
  const npm = /npm-cli\.[cm]?js$/.test(process.env.npm_execpath ?? '') && process.env.npm_execpath;
  // NODE_ENV=production would leave out the compiler.
  const args = ['ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund'];
  const [command, ...first] = npm && existsSync(npm) ? [process.execPath, npm] : ['npm'];
  const log = openSync(logPath, 'w');
  const options = { cwd: projectDir, stdio: ['ignore', log, log], detached: true };
  const child = spawn(command, [...first, ...args], options);
  closeSync(log);
  let isStopping = false;
  const stop = async (signal) => {
    isStopping = true;
    await endGroup(child.pid).catch(() => {});
    rmSync(recordPath, { force: true });
    process.exit(128 + constants.signals[signal]);
  };
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  for (const signal of signals) process.on(signal, stop);
  try {
    if (child.pid) await recordNpm(child.pid);
    const failure = await new Promise((resolve) => {
      child.once('error', (error) => resolve(`npm could not be started: ${error.message}`));
      child.once('exit', (code, signal) =>
        resolve(code === 0 ? undefined : `npm ci failed (${signal ?? `exit code ${code}`}).`),
      );
    });
    // Its end is no failure then, and the exit follows.
    if (isStopping) await new Promise(() => {});
    if (failure) {
      const lines = readText(logPath).trimEnd().split('\n').slice(-SHOWN_LINES);
      const text = [failure, `The end of its output (all of it: ${logPath}):`, ...lines].join('\n    ');
      throw explain([text, describeFullDisk(projectDir)].join('\n').trimEnd());
    }
  } finally {
    for (const signal of signals) process.off(signal, stop);
    rmSync(recordPath, { force: true });
  }
}

async function recordNpm(pid) {
  try {
    writeFileSync(recordPath, JSON.stringify({ pid, identity: identifyProcess(pid) }));
  } catch (error) {
    // Nobody would find it after a kill.
    await endGroup(pid);
    throw error;
  }
}

/** A start that was killed leaves its npm at work; two of them in one folder would spoil it. */
async function endLeftover() {
  if (!existsSync(recordPath)) return;
  const { pid, identity } = JSON.parse(readText(recordPath) || '{}');
  const present = pid && identifyProcess(pid);
  if (pid && (present === undefined || present === identity)) await endGroup(pid);
  rmSync(recordPath, { force: true });
}

/**
 * One JavaScript file from launcher/main.ts and what it imports, dependencies included. The name of the file is the digest of the sources,
 * which the last start has listed.
 */
async function bundleLauncher() {
  const { sources = [] } = readJson(sourcesPath);
  const known = `${digestSources(sources)}.mjs`;
  if (existsSync(join(launcherDir, known))) {
    removeOtherBundles(known);
    return join(launcherDir, known);
  }
  const { build, stop } = await import('esbuild');
  const { outputFiles, metafile } = await build({
    absWorkingDir: projectDir,
    entryPoints: ['launcher/main.ts'],
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    external: ['esbuild', 'playwright-core'],
    // What is CommonJS calls `require` for Node's modules.
    banner: {
      js: "import { createRequire as createBundleRequire } from 'node:module'; const require = createBundleRequire(import.meta.url);",
    },
    write: false,
    metafile: true,
    logLevel: 'silent',
    plugins: [{ name: 'packages-of-this-clone', setup: resolveOwnPackages }],
  });
  await stop();
  const inputs = Object.keys(metafile.inputs).filter((path) => !path.includes('node_modules/'));
  const name = `${digestSources(inputs)}.mjs`;
  removeOtherBundles(name);
  writeWhole(join(launcherDir, name), outputFiles[0].text);
  writeWhole(sourcesPath, JSON.stringify({ sources: inputs }));
  return join(launcherDir, name);
}

function removeOtherBundles(name) {
  for (const old of readdirSync(launcherDir)) {
    // What another start is writing at this moment has the number of its process at the end of its name.
    const writer = Number(/\.(\d+)$/.exec(old)?.[1]);
    if (![name, 'sources.json'].includes(old) && identifyProcess(writer) === undefined)
      rmSync(join(launcherDir, old), { force: true });
  }
}

function digestSources(paths) {
  const hash = createHash('sha256').update(digestLockFile());
  for (const path of ['scripts/bootstrap.mjs', ...paths]) hash.update(`${path}\0${readText(join(projectDir, path))}\0`);
  return hash.digest('hex').slice(0, 16);
}

function resolveOwnPackages(build) {
  build.onResolve({ filter: /^@inferql\// }, ({ path }) => {
    const [, name, file] = /^@inferql\/([^/]+)\/(.+)$/.exec(path);
    return { path: join(projectDir, name, `${file}.ts`) };
  });
}

function writeStamp(digest) {
  writeWhole(stampPath, digest);
}

function writeWhole(path, text) {
  const unfinished = `${path}.${process.pid}`;
  writeFileSync(unfinished, text);
  renameSync(unfinished, path);
}

function readJson(path) {
  try {
    return JSON.parse(readText(path));
  } catch {
    return {};
  }
}

function readText(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function describeError(error) {
  if (error.syscall) return describeSystemError(error);
  return error.isExplained ? error.message : error.stack;
}

/** An error whose message says all: it is shown without a stack. */
function explain(message) {
  return Object.assign(new Error(message), { isExplained: true });
}
