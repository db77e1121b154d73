/** A private Redis: loopback only, every write is on disk before its reply, stopped last and never left running. */
import { type ChildProcess, spawn } from 'node:child_process';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Writable } from 'node:stream';
import { makeFolder } from '@inferql/queue/make-folder';
import { findFreePort } from '../free-port.ts';
import { type Lock, tryLock } from '../lock.mjs';
import { identifyProcess, killForeignProcess, readCommandLine } from '../processes.mjs';
import * as terminal from '../terminal.ts';
import { withRedis } from './connect.ts';
import { GUARD_SCRIPT } from './restart-guard.ts';

const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 20_000;
const PORT_TRIES = 5;
const SHOWN_LINES = 15;
/** What Redis also says when it starts, wherever files and clients are limited. */
const LIMIT_NOTICE = /maximum open files|maxclients/i;
/** The settings of one run. */
const SETTINGS_FILE = /^redis(-\d+-\d+)?\.conf$/;
/** Redis' messages about data that it cannot read, and those of a machine that does not let it. */
const UNREADABLE = /append only file|AOF|RDB|Unrecoverable error/i;
const MACHINE_TROUBLE =
  /No space left|Permission denied|Operation not permitted|Read-only file system|Input\/output error|Disk quota|Too many open files|Cannot allocate memory/i;

/** For programs that have no terminal to themselves. */
export type RedisOutput = Pick<typeof terminal, 'showStep' | 'printError'>;

export interface RunningRedis {
  readonly url: string;
  /** Every process that needs this Redis gets this as one of its descriptors: Redis lives until the last of them is gone. */
  readonly lifeline?: Writable;
  stop(): Promise<void>;
}

/**
 * Starts a private Redis and resolves once it answers. Two systems with the same state folder get separate Redis servers and data.
 * @param binary the redis-server or valkey-server
 * @param stateDir its data are in `redis/` below it
 * @param output where progress and trouble are shown. @default the terminal
 * @throws SetupError with the end of Redis' log
 */
export async function startPrivateRedis(
  binary: string,
  stateDir: string,
  output: RedisOutput = terminal,
): Promise<RunningRedis> {
  const { dataDir, lock } = takeDataFolder(stateDir);
  try {
    // The guard of a system that is still stopping does not restart its Redis without them: two on the same data would damage them.
    removeSettings(dataDir);
    await endStrayRedis(dataDir);
    return await output.showStep('Starting Redis', () => startOnFreePort(binary, dataDir, lock, output));
  } catch (error) {
    lock.release();
    throw error;
  }
}

function takeDataFolder(stateDir: string): { dataDir: string; lock: Lock } {
  for (let slot = 1; ; slot++) {
    const dataDir = join(stateDir, slot === 1 ? 'redis' : `redis-${slot}`);
    makeFolder(dataDir, 0o700);
    const lock = tryLock(join(dataDir, 'launcher.lock'));
    // Redis reports its folder without links, and a stray one is recognized by that path.
    if (lock.taken) return { dataDir: realpathSync(dataDir), lock };
  }
}

async function startOnFreePort(
  binary: string,
  dataDir: string,
  lock: Lock,
  output: RedisOutput,
): Promise<RunningRedis> {
  let isRepaired = false;
  for (let attempt = 1; ; attempt++) {
    const redis = runGuarded(binary, dataDir, await findFreePort(), output);
    const failure = await redis.answered;
    if (failure === undefined) {
      return {
        url: redis.url,
        lifeline: redis.lifeline,
        async stop() {
          await redis.stop();
          lock.release();
        },
      };
    }
    await redis.stop();
    const { text, hasExited } = failure;
    if (hasExited && /in use|Failed listening/i.test(text) && attempt < PORT_TRIES) continue;
    // A Redis that is killed, slow or out of space says nothing about its data.
    const reasons = text
      .split('\n')
      .filter((line) => !LIMIT_NOTICE.test(line))
      .join('\n');
    const isDamaged = hasExited && UNREADABLE.test(reasons) && !MACHINE_TROUBLE.test(reasons);
    if (isDamaged && !isRepaired && setDamagedDataAside(dataDir, output)) {
      isRepaired = true;
      continue;
    }
    throw new terminal.SetupError(`The private Redis (${binary}) does not start:\n${text}`);
  }
}

interface Failure {
  readonly text: string;
  /** It has failed, after it has logged why. */
  readonly hasExited: boolean;
}

/** @param code its exit code, as a shell reports it */
function describeExit(code: number, log: string): Failure {
  if (code === 0) return { text: `It was stopped.\n${log}`, hasExited: false };
  if (code > 128) return { text: `It was ended by signal ${code - 128}.\n${log}`, hasExited: false };
  return { text: log || `exit code ${code}, without a message`, hasExited: true };
}

function runGuarded(binary: string, dataDir: string, port: number, output: RedisOutput) {
  const logPath = join(dataDir, 'redis.log');
  rmSync(logPath, { force: true });
  const confPath = join(dataDir, `redis-${port}-${process.pid}.conf`);
  const guard = spawnGuard(binary, { dataDir, port, logPath, confPath });
  const url = `redis://127.0.0.1:${port}`;
  let isStopping = false;
  let hasAnswered = false;
  const exited = new Promise((resolve) => guard.once('exit', resolve).once('error', resolve));
  guard.stdin!.on('error', () => {});

  /** Resolves to undefined, or to why it does not start. */
  const answered = new Promise<Failure | undefined>((resolve) => {
    guard.once('error', ({ message }) => resolve({ text: message, hasExited: false }));
    createInterface({ input: guard.stdout! }).on('line', (line) => {
      const [, code] = /^ended (\d+)/.exec(line) ?? [];
      if (isStopping || code === undefined) return;
      if (hasAnswered) output.printError('  Redis ended unexpectedly; restarting it with its data.');
      else resolve(describeExit(Number(code), readLog(logPath)));
    });
    const ready = withRedis(
      url,
      START_TIMEOUT_MS,
      async () => {},
      () => (isStopping ? new Error('stopped') : undefined),
    );
    ready.then(
      () => {
        hasAnswered = true;
        resolve(undefined);
      },
      () => resolve({ text: `no answer in ${START_TIMEOUT_MS / 1000} s\n${readLog(logPath)}`, hasExited: false }),
    );
  });

  return {
    url,
    answered,
    lifeline: guard.stdin!,
    async stop() {
      isStopping = true;
      const wasAlone = guard.exitCode !== null || guard.signalCode !== null;
      guard.stdin!.end('stop\n');
      const forced = setTimeout(() => endStrayRedis(dataDir), STOP_TIMEOUT_MS);
      await exited;
      clearTimeout(forced);
      // A guard that was killed has left it.
      if (wasAlone) await endStrayRedis(dataDir);
      for (const path of [join(dataDir, 'port'), confPath]) rmSync(path, { force: true });
    },
  };
}

interface GuardPlan {
  dataDir: string;
  port: number;
  logPath: string;
  confPath: string;
}

function spawnGuard(binary: string, { dataDir, port, logPath, confPath }: GuardPlan): ChildProcess {
  writeFileSync(join(dataDir, 'port'), String(port));
  writeFileSync(
    confPath,
    [
      ...['bind 127.0.0.1', `port ${port}`, 'daemonize no', `dir ${quote(dataDir)}`],
      ...[`logfile ${quote(logPath)}`, `pidfile ${quote(join(dataDir, 'redis.pid'))}`],
      ...[
        'appendonly yes',
        'appendfsync always',
        'aof-load-truncated yes',
        'save ""',
        'maxmemory-policy noeviction',
        '',
      ],
    ].join('\n'),
  );
  const guardPath = join(dataDir, 'guard.sh');
  // Renamed into place: a guard that still runs keeps reading the file that it opened.
  writeFileSync(`${guardPath}.new`, GUARD_SCRIPT);
  renameSync(`${guardPath}.new`, guardPath);
  const log = openSync(logPath, 'a');
  const guard = spawn('sh', [guardPath], {
    cwd: dataDir,
    detached: true,
    stdio: ['pipe', 'pipe', log],
    env: { ...process.env, GUARDED_REDIS: binary, GUARDED_REDIS_CONF: confPath },
  });
  closeSync(log);
  return guard;
}

/** Ends a stray Redis on this data, whose guard and launcher were both killed. */
async function endStrayRedis(dataDir: string): Promise<void> {
  const port = Number(readText(join(dataDir, 'port')));
  if (!port) return;
  const pid = Number(readText(join(dataDir, 'redis.pid')));
  const identity = identifyProcess(pid);
  try {
    const isOurs = await withRedis(`redis://127.0.0.1:${port}`, 2_000, async (redis) => {
      // Another Redis may have the port by now.
      const [, dir] = (await redis.call('CONFIG', 'GET', 'dir')) as string[];
      if (dir !== dataDir) return false;
      // It has no reply; the connection just ends.
      await redis.call('SHUTDOWN').catch(() => {});
      return true;
    });
    if (!isOurs) return;
  } catch {
    // It is gone, or it hangs: then its process still exists under its process title.
  }
  if (identity && readCommandLine(pid).includes(`:${port}`)) await killForeignProcess(pid, identity, STOP_TIMEOUT_MS);
}

function removeSettings(dataDir: string): void {
  for (const name of readdirSync(dataDir)) if (SETTINGS_FILE.test(name)) rmSync(join(dataDir, name), { force: true });
}

/** A working start matters more than old predictions. Nothing is deleted, though. @returns whether there are any data */
function setDamagedDataAside(dataDir: string, output: RedisOutput): boolean {
  const present = ['appendonlydir', 'appendonly.aof', 'dump.rdb'].filter((name) => existsSync(join(dataDir, name)));
  if (present.length === 0) return false;
  const aside = join(dataDir, `damaged-${Date.now()}`);
  mkdirSync(aside);
  for (const name of present) renameSync(join(dataDir, name), join(aside, name));
  output.printError(
    `  Redis could not read its data (another version's, or damaged). Redis starts empty; the old files are in ${aside}`,
  );
  return true;
}

function quote(path: string): string {
  return `"${path.replace(/["\\]/g, '\\$&')}"`;
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
}

function readLog(path: string): string {
  return readText(path).split('\n').slice(-SHOWN_LINES).join('\n');
}
