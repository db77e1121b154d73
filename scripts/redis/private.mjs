// A Redis of the project's own: loopback only, every write on disk before it is answered, stopped last and never left behind.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { tryLock } from '../setup/lock.mjs';
import { stateDir } from '../setup/places.mjs';
import { endStrangerProcess, identifyProcess, readCommandLine } from '../setup/processes.mjs';
import { complain, SetupError, showStep } from '../setup/screen.mjs';
import { askRedis, isAnswering } from './wire.mjs';

const guardPath = join(dirname(fileURLToPath(import.meta.url)), 'guard.sh');
const START_TIMEOUT_MS = 60_000;
const STOP_TIMEOUT_MS = 20_000;
const PORT_TRIES = 5;

/**
 * Starts it and resolves once it answers.
 * @param {string} binary
 * @returns {Promise<{ url: string, lifeline: import('node:stream').Writable, stop(): Promise<void> }>} every process that needs this Redis is
 *   given `lifeline` as one of its descriptors: Redis lives until the last of them is gone or stop() is called
 */
export async function startPrivateRedis(binary) {
  const { dataDir, lock } = takeDataFolder();
  try {
    await endStrayRedis(dataDir);
    return await showStep('Starting Redis', () => startOnFreePort(binary, dataDir, lock));
  } catch (error) {
    lock.release();
    throw error;
  }
}

/** Two systems from one folder (another PORT) get a Redis and data each. */
function takeDataFolder() {
  for (let slot = 1; ; slot++) {
    const dataDir = join(stateDir, slot === 1 ? 'redis' : `redis-${slot}`);
    mkdirSync(dataDir, { recursive: true, mode: 0o700 });
    const lock = tryLock(join(dataDir, 'launcher.lock'));
    // Redis names its folder without links, and by that name a stray one is known.
    if (lock.taken) return { dataDir: realpathSync(dataDir), lock };
  }
}

async function startOnFreePort(binary, dataDir, lock) {
  let repaired = false;
  for (let attempt = 1; ; attempt++) {
    const port = await findFreePort();
    const redis = runGuarded(binary, dataDir, port);
    const failure = await redis.answered;
    if (!failure) {
      return {
        url: `redis://127.0.0.1:${port}`,
        lifeline: redis.lifeline,
        async stop() {
          await redis.stop();
          lock.release();
        },
      };
    }
    await redis.stop();
    if (/in use|Failed listening/i.test(failure) && attempt < PORT_TRIES) continue;
    if (/append only file|AOF|RDB|Unrecoverable error/i.test(failure) && !repaired) {
      repaired = true;
      setDamagedDataAside(dataDir);
      continue;
    }
    throw new SetupError(`The private Redis (${binary}) does not start:\n${failure}`);
  }
}

function runGuarded(binary, dataDir, port) {
  const logPath = join(dataDir, 'redis.log');
  rmSync(logPath, { force: true });
  writeFileSync(join(dataDir, 'port'), String(port));
  const confPath = join(dataDir, 'redis.conf');
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
  const log = openSync(logPath, 'a');
  const guard = spawn('sh', [guardPath], {
    cwd: dataDir,
    detached: true,
    stdio: ['pipe', 'pipe', log],
    env: { ...process.env, GUARDED_REDIS: binary, GUARDED_REDIS_CONF: confPath },
  });
  closeSync(log);
  let stopping = false;
  let hasAnswered = false;
  const exited = once(guard, 'exit');
  guard.stdin.on('error', () => {});

  const address = { host: '127.0.0.1', port };
  const answered = new Promise((resolve) => {
    const deadline = Date.now() + START_TIMEOUT_MS;
    createInterface({ input: guard.stdout }).on('line', (line) => {
      if (stopping || !line.startsWith('ended')) return;
      if (hasAnswered) complain('  Redis ended unexpectedly; it is started again on its data.');
      else resolve(readLog(logPath));
    });
    const ask = async () => {
      if (await isAnswering(address)) {
        hasAnswered = true;
        resolve(undefined);
      } else if (Date.now() > deadline) resolve(`no answer in ${START_TIMEOUT_MS / 1000} s\n${readLog(logPath)}`);
      else if (!stopping) setTimeout(ask, 15);
    };
    ask();
  });

  return {
    answered,
    lifeline: guard.stdin,
    async stop() {
      stopping = true;
      guard.stdin.end('stop\n');
      const forced = setTimeout(() => endStrayRedis(dataDir), STOP_TIMEOUT_MS);
      await exited;
      clearTimeout(forced);
      rmSync(join(dataDir, 'port'), { force: true });
    },
  };
}

/** Ends a Redis that works on our data without us: its guard and its launcher were both killed. */
async function endStrayRedis(dataDir) {
  const port = Number(readText(join(dataDir, 'port')));
  if (!port) return;
  const address = { host: '127.0.0.1', port };
  const pid = Number(readText(join(dataDir, 'redis.pid')));
  const identity = identifyProcess(pid);
  try {
    const [setting] = await askRedis(address, [['CONFIG', 'GET', 'dir']], 2_000);
    // Another Redis may have been given the port since.
    if (setting.split('\n')[1] !== dataDir) return;
    await askRedis(address, [['SHUTDOWN']], STOP_TIMEOUT_MS).catch(() => {});
  } catch {
    // It is gone, or it hangs: then its process is still there under the name it gave itself.
  }
  if (identity && readCommandLine(pid).includes(`:${port}`)) await endStrangerProcess(pid, identity, STOP_TIMEOUT_MS);
}

/** Predictions of yesterday are worth less than a start that works; nothing is deleted, though. */
function setDamagedDataAside(dataDir) {
  const aside = join(dataDir, `damaged-${Date.now()}`);
  mkdirSync(aside);
  for (const name of ['appendonlydir', 'appendonly.aof', 'dump.rdb']) {
    if (existsSync(join(dataDir, name))) renameSync(join(dataDir, name), join(aside, name));
  }
  complain(
    `  Redis could not read its data (another version's, or damaged). It starts empty; the old files are in ${aside}`,
  );
}

async function findFreePort() {
  const probe = createServer().listen(0, '127.0.0.1');
  await once(probe, 'listening');
  const { port } = probe.address();
  probe.close();
  await once(probe, 'close');
  return port;
}

function quote(path) {
  return `"${path.replace(/["\\]/g, '\\$&')}"`;
}

function readText(path) {
  try {
    return readFileSync(path, 'utf8').trim();
  } catch {
    return '';
  }
}

function readLog(path) {
  return readText(path).split('\n').slice(-15).join('\n');
}
