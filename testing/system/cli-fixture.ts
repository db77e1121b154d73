/** Shared by the tests of the command: the compiled command, one system per file, one folder per test. Importing it starts the system. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cp, mkdtemp, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, beforeEach } from 'vitest';
import { buildSystem, projectDir } from '../build.ts';
import { expectedClass, makePicture } from '../data/test-images.ts';
import { removeFolder } from '../processes/remove-folder.ts';
import { scriptedModel, startSystem, type TestSystem } from './system.ts';

/** A picture whose first byte is this makes the model fail. */
export const POISON = 220;

export let system: TestSystem;
/** The command's file. */
export let command: string;
/** The folder of the current test, in which the command runs. */
export let dir: string;
/** A folder like that of the project, with the command and its build. */
let project: string;
let nextPicture = 0;

beforeAll(async () => {
  let build: string;
  [build, system] = await Promise.all([
    buildSystem(),
    startSystem({
      models: [
        scriptedModel({ script: { throwOn: [POISON] }, queue: { maxAttempts: 1 } }),
        scriptedModel({ name: 'slow', script: { waitMsPerImage: 100 } }),
        scriptedModel({ name: 'slower', script: { waitMs: 700 }, batching: { maxBatchSize: 1 } }),
      ],
      env: { INFERQL_DEFAULT_MODEL: 'scripted' },
    }),
  ]);
  project = await mkdtemp(join(tmpdir(), 'inferql-project-'));
  // As in the project: the launcher of the command next to a built dist/.
  command = join(project, 'cli/bin/inferql.mjs');
  await cp(join(projectDir, 'cli/bin/inferql.mjs'), command);
  await cp(join(projectDir, 'cli/package.json'), join(project, 'cli/package.json'));
  await symlink(build, join(project, 'dist'));
});

afterAll(async () => {
  await system?.end();
  if (project) await removeFolder(project);
});

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'inferql-command-'));
  return () => removeFolder(dir);
});

interface Run {
  code: number | null;
  out: string;
  err: string;
}

export function start(args: string[], env: Record<string, string> = {}): { child: ChildProcess; ended: Promise<Run> } {
  const child = spawn(process.execPath, [command, ...args], {
    cwd: dir,
    env: { PATH: process.env.PATH!, INFERQL_URL: system.url, ...env },
    stdio: 'pipe',
  });
  const ended = Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]).then(
    ([out, err, [code]]) => ({ out, err, code: code as number | null }),
  );
  return { child, ended };
}

export async function run(args: string[], { env, input }: { env?: Record<string, string>; input?: Uint8Array } = {}) {
  const { child, ended } = start(args, env);
  child.stdin!.on('error', () => {});
  child.stdin!.end(input);
  return await ended;
}

/** Writes a picture that was not sent before. Returns the label that it must get. */
export async function writePicture(name: string): Promise<string> {
  const n = nextPicture++;
  await writeFile(join(dir, name), makePicture(n));
  return `class ${expectedClass(n)}`;
}

export const jsonLines = (out: string) =>
  out
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
