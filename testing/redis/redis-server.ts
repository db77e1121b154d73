import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { findFreePort } from '@inferql/launcher/free-port';
import { findOnPath } from '@inferql/launcher/system-packages';
import { endWithUs } from '../processes/end-with-us.ts';
import { hasEnded } from '../processes/has-ended.ts';
import { removeFolder } from '../processes/remove-folder.ts';

/** Options of a test's private Redis. */
export interface TestRedisOptions {
  /** More arguments for redis-server, such as `['--maxmemory', '8mb']`; they come after the defaults and so win over them. */
  args?: string[];
  /** Start as a Sentinel with this configuration file, which it rewrites as it goes. */
  sentinelFile?: string;
  /** Keep an append-only file (`appendfsync always`), so that data outlive `kill9()` and `restart()`. Default: nothing is saved. */
  persistent?: boolean;
}

/** A private redis-server on a free loopback port. */
export interface TestRedis {
  readonly url: string;
  readonly port: number;
  /** Its data folder, removed by `stop()`. */
  readonly dir: string;
  /** The current server's process id; another one after `restart()`. */
  readonly pid: number;
  /** Ends it and removes its folder. May be called twice. */
  stop(): Promise<void>;
  /** Kills it with SIGKILL and resolves once it is gone; port and data stay. */
  kill9(): Promise<void>;
  /** Starts it again on the same port and data; ends it first if it still runs. */
  restart(): Promise<void>;
}

/** Only bounds a server that hangs. */
const START_TIMEOUT_MS = 60_000;
const PORT_TRIES = 5;

/**
 * Starts a private redis-server and resolves once PING answers.
 *
 * The binary is `INFERQL_REDIS_SERVER`, else redis-server, else valkey-server, on the PATH.
 * @throws if there is no binary, or the server ends before it answers (the message contains its output).
 */
export async function startTestRedis(options: TestRedisOptions = {}): Promise<TestRedis> {
  const binary = findRedisServer();
  const dir = await mkdtemp(join(tmpdir(), 'inferql-redis-'));
  const persistence = options.persistent
    ? ['--appendonly', 'yes', '--appendfsync', 'always', '--save', '']
    : ['--appendonly', 'no', '--save', ''];
  const settings = options.sentinelFile
    ? ['--sentinel', '--bind', '127.0.0.1']
    : ['--bind', '127.0.0.1', '--dir', dir, '--maxmemory-policy', 'noeviction', ...persistence];
  const file = options.sentinelFile ? [options.sentinelFile] : [];

  const spawnOn = (on: number) =>
    spawnRedis(binary, [...file, '--port', String(on), ...settings, ...(options.args ?? [])], on, dir);

  let port = 0;
  let server: ChildProcess;
  for (let attempt = 1; ; attempt++) {
    port = await findFreePort();
    try {
      server = await spawnOn(port);
      break;
    } catch (error) {
      // Another process may take a free port before it is used.
      const portTaken = error instanceof Error && /Address already in use|bind/.test(error.message);
      if (!portTaken || attempt === PORT_TRIES) {
        await removeFolder(dir);
        throw error;
      }
    }
  }

  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    dir,
    get pid() {
      return server.pid!;
    },
    async stop() {
      await endServer(server, 'SIGTERM');
      await removeFolder(dir);
    },
    kill9: () => endServer(server, 'SIGKILL'),
    async restart() {
      await endServer(server, 'SIGTERM');
      server = await spawnOn(port);
    },
  };
}

/** The Redis server that tests use. */
export function findRedisServer(): string {
  const chosen = process.env.INFERQL_REDIS_SERVER;
  if (chosen) return chosen;
  const found = findOnPath('redis-server', 'valkey-server');
  if (found) return found;
  throw new Error('no redis-server or valkey-server on the PATH; install one, or name it in INFERQL_REDIS_SERVER');
}

async function spawnRedis(binary: string, args: string[], port: number, dir: string): Promise<ChildProcess> {
  // Detached: a test that signals its own process group must not hit the Redis under it.
  const server = spawn(binary, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  if (server.pid !== undefined) endWithUs(server, dir);
  let output = '';
  let exited = false;
  const collect = (chunk: Buffer) => {
    output = (output + chunk.toString()).slice(-4_000);
  };
  const ended = new Promise<void>((resolve) => {
    const settle = () => {
      exited = true;
      resolve();
    };
    server.once('exit', settle);
    server.once('error', (error) => {
      output += String(error);
      settle();
    });
  });
  server.stdout.on('data', collect);
  server.stderr.on('data', collect);
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (!exited && Date.now() < deadline) {
    if (await answersPing(port, server.pid!)) {
      // The wait for its output and its end must not hold a test runner that is otherwise done.
      server.unref();
      return server;
    }
    await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, 10))]);
  }
  if (!exited) await endServer(server, 'SIGKILL');
  throw new Error(`redis-server did not start on port ${port}:\n${output}`);
}

/**
 * One PING over a separate connection; a server that still loads its data answers -LOADING, which counts as no, and so does a server
 * of another test that took the port first.
 */
function answersPing(port: number, pid: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    let answer = '';
    const finish = (isReady: boolean) => {
      socket.destroy();
      resolve(isReady);
    };
    socket.setTimeout(1_000, () => finish(false));
    socket.once('error', () => finish(false));
    socket.once('connect', () => socket.write('PING\r\nINFO server\r\n'));
    socket.on('data', (chunk) => {
      answer += chunk.toString();
      // -NOAUTH is an answer too: the test that asked for a password knows how to log in.
      if (/^-/.test(answer)) finish(/^-NOAUTH/.test(answer));
      const found = /^process_id:(\d+)\r/m.exec(answer);
      if (found) finish(Number(found[1]) === pid);
      // A test may forbid INFO.
      if (/^\+PONG\r\n-/.test(answer)) finish(true);
    });
    socket.once('close', () => resolve(false));
  });
}

async function endServer(server: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  if (hasEnded(server)) return;
  server.ref();
  const exited = once(server, 'exit');
  server.kill(signal);
  // A stopped (SIGSTOP) server does not see SIGTERM; a saving one needs a moment.
  const forced = setTimeout(() => server.kill('SIGKILL'), 10_000);
  await exited;
  clearTimeout(forced);
}
