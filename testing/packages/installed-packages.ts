/** The packages as users install them: packed from the current sources, in an empty folder outside the project. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, realpath, symlink } from 'node:fs/promises';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { projectDir } from '../build.ts';
import { whenOutputRead } from '../processes/child-process.ts';
import { removeFolder } from '../processes/remove-folder.ts';
import { findSharedInstallation, type Installers, linkFiles } from './shared-installation.ts';

const run = promisify(execFile);

export interface Installation {
  readonly dir: string;
  /** The path of the installed command. */
  readonly command: string;
  /** Runs the command to its end. Does not throw if it fails. */
  inferql(args: string[], env?: Record<string, string>): Promise<{ code: number; out: string; err: string }>;
  /**
   * Starts a program, such as `['server.mjs', 'argument']` for Node, and resolves with what `ready` finds in its output.
   * @throws with its output if it ends before
   */
  start(args: string[], ready: RegExp, env?: Record<string, string>): Promise<Program>;
  /** Starts `inferql serve`, in the installation or another folder, and resolves once it is ready. */
  serve(args: string[], env?: Record<string, string>, cwd?: string): Promise<{ url: string; stop(): Promise<number> }>;
  remove(): Promise<void>;
}

export interface Program {
  /** The first group of the expression. */
  found: string;
  pid: number;
  output(): string;
  /** SIGTERM, and the exit code once it has ended; 128 + n after a signal n. */
  stop(): Promise<number>;
}

/** Packs all packages into a folder. Returns the paths of the tarballs. */
export async function packPackages(folder: string, env: Record<string, string> = {}): Promise<string[]> {
  // The tests' NODE_ENV would make it a page for development.
  const { NODE_ENV: _, ...environment } = process.env;
  const options = { cwd: projectDir, env: { ...environment, ...env } };
  await run(process.execPath, ['scripts/run.mjs', 'pack', folder], options);
  return (await readdir(folder)).map((name) => join(folder, name));
}

/**
 * All packages and their dependencies, in a folder with links to an installation that is made once per state of the sources. Links the models
 * that this project has prepared, so that none is pulled.
 * @throws with npm's output
 */
export async function installPackages(): Promise<Installation> {
  const dir = await makeFolder();
  await linkFiles(await findSharedInstallation([], describeInstallers([])), dir);
  const models = join(projectDir, '.inferql/models');
  // Nothing can be made in a folder through a link to one that does not exist yet.
  await mkdir(models, { recursive: true });
  await mkdir(join(dir, '.inferql'));
  await symlink(models, join(dir, '.inferql/models'));
  return describeInstallation(dir);
}

/**
 * The same without models, and with packages from the registry, such as `express@5.3.0`.
 * @throws with npm's output
 */
export async function copyInstallation(others: readonly string[]): Promise<Installation> {
  const dir = await makeFolder();
  const shared = await findSharedInstallation(others, describeInstallers(others));
  await linkFiles(shared, dir);
  return describeInstallation(dir);
}

/** Outside the project, whose packages would be found. */
async function makeFolder(): Promise<string> {
  return realpath(await mkdtemp(join(tmpdir(), 'inferql-installed-')));
}

function describeInstallers(others: readonly string[]): Installers {
  const install = async (packages: readonly string[], cwd: string) => {
    const options = ['--no-audit', '--no-fund', '--prefer-offline', '--ignore-scripts'];
    await run('npm', ['install', ...options, ...packages], { cwd });
  };
  return {
    installPackages: async (folder) => install(await packPackages(join(folder, 'tarballs')), folder),
    addOthers: (folder) => install(others, folder),
  };
}

function describeInstallation(dir: string): Installation {
  const command = join(dir, 'node_modules/.bin/inferql');
  const environment = (env: Record<string, string>) => ({ PATH: process.env.PATH!, HOME: dir, ...env });
  return {
    dir,
    command,
    async inferql(args, env = {}) {
      const child = spawn(command, args, { cwd: dir, env: environment(env), stdio: ['ignore', 'pipe', 'pipe'] });
      let out = '';
      let err = '';
      child.stdout.on('data', (chunk) => {
        out += chunk;
      });
      child.stderr.on('data', (chunk) => {
        err += chunk;
      });
      const [code] = (await once(child, 'close')) as [number | null];
      return { code: code ?? -1, out, err };
    },
    start: (args, ready, env = {}) => startProgram(process.execPath, args, ready, { cwd: dir, env: environment(env) }),
    async serve(args, env = {}, cwd = dir) {
      const options = { cwd, env: environment({ PORT: '0', ...env }) };
      const { found: url, stop } = await startProgram(command, ['serve', ...args], /ready: (http:\S+)/, options);
      return { url, stop };
    },
    remove: () => removeFolder(dir),
  };
}

async function startProgram(
  file: string,
  args: string[],
  ready: RegExp,
  options: { cwd: string; env: Record<string, string> },
): Promise<Program> {
  const child = spawn(file, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = once(child, 'exit').then(async ([code, signal]) => {
    await whenOutputRead(child);
    return (code as number | null) ?? 128 + constants.signals[signal as 'SIGTERM'];
  });
  let output = '';
  const found = await new Promise<string>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        output += chunk;
        const match = ready.exec(output);
        if (match) resolve(match[1]!);
      });
    }
    ended.then((code) => reject(new Error(`${file} ${args.join(' ')} ended (${code}):\n${output}`)));
  });
  return {
    found,
    pid: child.pid!,
    output: () => output,
    stop() {
      child.kill('SIGTERM');
      return ended;
    },
  };
}
