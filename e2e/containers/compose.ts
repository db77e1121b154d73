/** The images and docker-compose.yml of this repository, run by a container engine. */
import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { findFreePort } from '@inferql/launcher/free-port';
import { projectDir } from '@inferql/testing/build';

const run = promisify(execFile);
const TARGETS = ['server', 'worker', 'models'] as const;
/** Beside one that a person runs from the same clone. */
const PROJECT = `inferql-test-${process.pid}`;

/** Why there is no engine to run containers, in a sentence; undefined if there is one. */
export function findMissingEngine(): string | undefined {
  try {
    execFileSync('docker', ['info'], { stdio: 'ignore' });
  } catch {
    return 'No container engine answers to `docker info`.';
  }
  return findCompose() ? undefined : 'There is neither `docker compose` nor `docker-compose`.';
}

function findCompose(): string[] | undefined {
  for (const command of [['docker', 'compose'], ['docker-compose']]) {
    const [program = '', ...args] = command;
    try {
      execFileSync(program, [...args, 'version'], { stdio: 'ignore' });
      return command;
    } catch {}
  }
  return undefined;
}

interface ProjectOptions {
  /** The folder of the compose file. */
  cwd: string;
  /** Compose's options before the command. */
  options: string[];
  env: Record<string, string>;
}

/** A compose file's project, separate from one that a person runs from the same folder. */
export function openProject(name: string, { cwd, options, env }: ProjectOptions) {
  const [program = '', ...args] = findCompose()!;
  const environment = { PATH: process.env.PATH, HOME: process.env.HOME, DOCKER_HOST: process.env.DOCKER_HOST, ...env };
  const compose = async (...more: string[]) => {
    const all = [...args, '--project-name', name, ...options, ...more];
    return (await run(program, all, { cwd, env: environment as NodeJS.ProcessEnv, maxBuffer: 2 ** 26 })).stdout;
  };
  /** Ids of a service's containers. */
  const list = async (service: string) => (await compose('ps', '--all', '--quiet', service)).trim().split('\n').sort();
  const end = () => compose('down', '--volumes', '--timeout', '5');
  return {
    compose,
    list,
    end,
    logs: () => compose('logs', '--no-color', '--tail', '60'),
    /** Starts all without building, and waits until they are healthy. @throws with their logs */
    async start(...more: string[]): Promise<void> {
      try {
        await compose('up', '--detach', '--no-build', '--wait', ...more);
      } catch (error) {
        const logs = await compose('logs', '--no-color', '--tail', '40').catch(String);
        await end();
        throw new Error(`${error}\n${logs}`);
      }
    },
    /** Stops all within their grace periods. @returns exit codes by container: 137 is one that had to be killed */
    async stop(...services: string[]): Promise<Record<string, string>> {
      await compose('stop');
      const codes: Record<string, string> = {};
      for (const service of services) {
        for (const container of await list(service)) {
          codes[await inspect(container, '{{.Name}}')] = await inspect(container, '{{.State.ExitCode}}');
        }
      }
      return codes;
    },
  };
}

export type ComposeSystem = Awaited<ReturnType<typeof startCompose>>;

/** Builds the images and starts the system; resolves once all are healthy. */
export async function startCompose(workers: number) {
  for (const target of TARGETS) await buildImage(projectDir, `inferql-${target}`, '--target', target);
  const port = await findFreePort();
  const folder = mkdtempSync(join(tmpdir(), 'inferql-compose-'));
  // The same images are sent repeatedly, and each must be computed.
  const environment = { INFERQL_SHARE: '0', INFERQL_CACHE_TTL_MS: '0' };
  const override = join(folder, 'override.json');
  writeFileSync(override, JSON.stringify({ services: { server: { environment }, worker: { environment } } }));
  // A person's .env is not read.
  const envFile = join(folder, 'env');
  writeFileSync(envFile, '');
  const project = openProject(PROJECT, {
    cwd: projectDir,
    options: ['--file', 'docker-compose.yml', '--file', override, '--env-file', envFile],
    env: { PORT: String(port) },
  });
  await project.start('--scale', `worker=${workers}`);

  return {
    url: `http://127.0.0.1:${port}`,
    list: project.list,
    /** Runs a program in a service's container. @returns what it prints */
    exec: (service: string, ...command: string[]) => project.compose('exec', '-T', service, ...command),
    /** SIGKILL to everything in a container, as a crash: the engine restarts it. Resolves once it runs again. */
    async crash(container: string): Promise<void> {
      const before = await inspect(container, '{{.RestartCount}}');
      // The first process of a container cannot be killed from inside; it ends with its child.
      await docker('exec', container, 'sh', '-c', 'kill -9 -1').catch(() => undefined);
      while ((await inspect(container, '{{.RestartCount}} {{.State.Running}}')) !== `${Number(before) + 1} true`);
    },
    /** `docker kill`, then `docker start`. */
    async killAndStart(container: string): Promise<void> {
      await docker('kill', container);
      await docker('start', container);
    },
    stop: () => project.stop('server', 'worker', 'redis'),
    logs: project.logs,
    end: project.end,
  };
}

/** Builds an image. The network is that of the machine: behind a proxy or a private registry, that of containers may lead nowhere. */
export async function buildImage(context: string, tag: string, ...more: string[]): Promise<void> {
  await docker('build', '--network=host', ...more, '--tag', tag, context);
}

export async function removeImage(tag: string): Promise<void> {
  await docker('image', 'rm', '--force', tag);
}

async function docker(...args: string[]): Promise<string> {
  return (await run('docker', args, { cwd: projectDir, maxBuffer: 2 ** 26 })).stdout.trim();
}

const inspect = (container: string, format: string) => docker('inspect', '--format', format, container);
