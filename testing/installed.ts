/** The packages as users install them: packed from the current sources, in an empty folder outside the project. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, readdir, realpath, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { projectDir } from './build.ts';

const run = promisify(execFile);

export interface Installation {
  readonly dir: string;
  /** The path of the installed command. */
  readonly command: string;
  /** Runs the command to its end. Does not throw if it fails. */
  inferql(args: string[], env?: Record<string, string>): Promise<{ code: number; out: string; err: string }>;
  /** Starts `inferql serve` and resolves once it is ready. */
  serve(args: string[], env?: Record<string, string>): Promise<{ url: string; stop(): Promise<number> }>;
  remove(): Promise<void>;
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
 * Packs and installs all packages. The models that this project has prepared are linked, so that none is pulled.
 * @throws with npm's output
 */
export async function installPackages(): Promise<Installation> {
  const dir = await realpath(await mkdtemp(join(tmpdir(), 'inferql-installed-')));
  const tarballs = await packPackages(join(dir, 'tarballs'));
  await run('npm', ['install', '--no-audit', '--no-fund', '--prefer-offline', '--ignore-scripts', ...tarballs], {
    cwd: dir,
  });
  await mkdir(join(dir, '.inferql'));
  await symlink(join(projectDir, '.inferql/models'), join(dir, '.inferql/models'));
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
    async serve(args, env = {}) {
      const child = spawn(command, ['serve', ...args], {
        cwd: dir,
        env: environment({ PORT: '0', ...env }),
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      const ended = once(child, 'exit') as Promise<[number | null]>;
      const url = await new Promise<string>((resolve, reject) => {
        let output = '';
        for (const stream of [child.stdout, child.stderr]) {
          stream.on('data', (chunk) => {
            output += chunk;
            const ready = /ready: (http:\S+)/.exec(output);
            if (ready) resolve(ready[1]!);
          });
        }
        ended.then(([code]) => reject(new Error(`inferql serve ended (${code}):\n${output}`)));
      });
      return {
        url,
        async stop() {
          child.kill('SIGTERM');
          const [code] = await ended;
          return code ?? -1;
        },
      };
    },
    remove: () => rm(dir, { recursive: true, force: true }),
  };
}
