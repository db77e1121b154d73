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
/** A separate project beside one that a person runs from the same clone. */
const PROJECT = `inferql-test-${process.pid}`;

export type Service = 'redis' | 'server' | 'worker';

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

export type ComposeSystem = Awaited<ReturnType<typeof startCompose>>;

/** Builds the images and starts the system; resolves once all are healthy. */
export async function startCompose(workers: number) {
  for (const target of TARGETS) {
    // The network of the machine: behind a proxy or a private registry, that of containers may lead nowhere.
    await docker('build', '--network=host', '--target', target, '--tag', `inferql-${target}`, '.');
  }
  const port = await findFreePort();
  const [program = '', ...args] = findCompose()!;
  // A person's .env is not read.
  const envFile = join(mkdtempSync(join(tmpdir(), 'inferql-compose-')), 'env');
  writeFileSync(envFile, '');
  const override = join(envFile, '..', 'override.json');
  // The same images are sent repeatedly, and each must be computed.
  const environment = { INFERQL_SHARE: '0', INFERQL_CACHE_TTL_MS: '0' };
  writeFileSync(override, JSON.stringify({ services: { server: { environment }, worker: { environment } } }));
  const files = ['--file', 'docker-compose.yml', '--file', override, '--env-file', envFile];
  const compose = async (...more: string[]) => {
    const env = {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      DOCKER_HOST: process.env.DOCKER_HOST,
      PORT: String(port),
    };
    const all = [...args, '--project-name', PROJECT, ...files, ...more];
    return (await run(program, all, { cwd: projectDir, env: env as NodeJS.ProcessEnv, maxBuffer: 2 ** 26 })).stdout;
  };
  const end = () => compose('down', '--volumes', '--timeout', '5');
  try {
    await compose('up', '--detach', '--no-build', '--wait', '--scale', `worker=${workers}`);
  } catch (error) {
    const logs = await compose('logs', '--no-color', '--tail', '40').catch(String);
    await end();
    throw new Error(`${error}\n${logs}`);
  }
  const list = async (service: Service) => (await compose('ps', '--all', '--quiet', service)).trim().split('\n').sort();

  return {
    url: `http://127.0.0.1:${port}`,
    /** Ids of a service's containers. */
    list,
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
    /** Stops all within their grace periods. @returns exit codes by container: 137 is one that had to be killed */
    async stop(): Promise<Record<string, string>> {
      await compose('stop');
      const codes: Record<string, string> = {};
      for (const service of ['server', 'worker', 'redis'] as const) {
        for (const container of await list(service)) {
          codes[await inspect(container, '{{.Name}}')] = await inspect(container, '{{.State.ExitCode}}');
        }
      }
      return codes;
    },
    logs: () => compose('logs', '--no-color', '--tail', '60'),
    end,
  };
}

async function docker(...args: string[]): Promise<string> {
  return (await run('docker', args, { cwd: projectDir, maxBuffer: 2 ** 26 })).stdout.trim();
}

const inspect = (container: string, format: string) => docker('inspect', '--format', format, container);
