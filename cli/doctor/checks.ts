/** What a machine needs to run InferQL, checked one by one. Each finding says what is wrong and what to do. */
import { spawn } from 'node:child_process';
import { constants } from 'node:fs';
import { access, statfs } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { isIPv6 } from 'node:net';
import { availableParallelism, totalmem } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { createClient, InferqlError } from '@inferql/client/node';
import { waitForExternalRedis } from '@inferql/launcher/redis/external-redis';
import { BUILT_PATH_FILE, findRedisServer } from '@inferql/launcher/redis/find-redis';
import { describeListenFailure, findListenFailure } from '@inferql/launcher/supervise/listen-address';
import { makeFolder } from '@inferql/queue/make-folder';
import { findSettingProblems } from '@inferql/settings/server-settings';
import { findSettingMistakes, readSettings } from '@inferql/settings/settings';
import { listRunningUrls } from '../running-url.ts';

/** `warning`: it works, but not as well as it could. */
export type Verdict = 'ok' | 'warning' | 'problem';

export interface Finding {
  readonly check: string;
  readonly verdict: Verdict;
  /** The finding. */
  readonly found: string;
  /** What to do, unless all is well. */
  readonly cure?: string;
}

export interface Machine {
  env: Readonly<Record<string, string | undefined>>;
  /** The folder in which the system would run. */
  dir: string;
  /** Ends the checks. */
  signal?: AbortSignal;
}

type Check = (machine: Machine) => Promise<Finding[]>;

const OLDEST_NODE = [20, 20] as const;
const GIBIBYTE = 1024 ** 3;
/** ResNet50 takes 0.6 GiB in a worker and 0.2 GiB while it is converted; the rest is for the system. */
const LEAST_MEMORY = 2 * GIBIBYTE;
/** ResNet50 as pulled, converted and optimized. */
const LEAST_DISK = 0.5 * GIBIBYTE;
/** It is left out of URLs. */
const HTTP_PORT = 80;
const ENGINE_TIMEOUT_MS = 60_000;
const REDIS_WAIT_MS = 3_000;
const SERVER_WAIT_MS = 3_000;

/** All checks, in the order in which a start would meet them. @throws the signal's reason */
export async function runChecks(machine: Machine): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const check of [checkNode, checkSettings, checkPort, checkMemory, checkState, checkRedis, checkEngines]) {
    findings.push(...(await check(machine)));
    machine.signal?.throwIfAborted();
  }
  return findings;
}

const checkNode: Check = async () => {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const isEnough = major > OLDEST_NODE[0] || (major === OLDEST_NODE[0] && minor >= OLDEST_NODE[1]);
  const found = `${process.versions.node} on ${process.platform} ${process.arch}`;
  if (!isEnough) return [problem('Node', found, `Install Node ${OLDEST_NODE.join('.')} or later.`)];
  if (process.platform === 'win32')
    return [problem('Node', found, 'InferQL runs on Linux and macOS. On Windows, use WSL or Docker.')];
  return [ok('Node', found)];
};

export const checkSettings: Check = async ({ env }) => {
  const findings = [
    ...findSettingProblems(env).map((text) => problem('settings', text, 'See docs/configuration.md.')),
    ...findSettingMistakes(env).map((text) => warning('settings', text, 'Correct the name, or unset it.')),
  ];
  return findings.length > 0 ? findings : [ok('settings', 'valid')];
};

export const checkPort: Check = async (machine) => {
  const { port, host } = readOrDefaults(machine.env);
  const failure = await findListenFailure(port, host);
  if (!failure) return [ok('port', port === 0 ? `any, on ${host}` : `${port} on ${host} is free`)];
  if (failure.code === 'EADDRINUSE') {
    const own = listRunningUrls(stateDirOf(machine)).find((url) => Number(new URL(url).port || HTTP_PORT) === port);
    if (own) return [ok('port', `${port}: the system that runs from this folder, ${own}`)];
    const url = await findServer(port, host, machine.signal);
    // In a container, it is the container's own.
    if (url) return [ok('port', `${port}: an InferQL server responds at ${url}. Another one needs another PORT`)];
  }
  const { message } = await describeListenFailure(failure, port, host);
  const [found = '', cure = 'Set PORT and HOST.'] = message.split(/\. (.+)/s);
  return [problem('port', found, cure)];
};

/** The address of the InferQL server that listens on a port, if one does. */
async function findServer(port: number, host: string, signal: AbortSignal | undefined): Promise<string | undefined> {
  const name = { '0.0.0.0': '127.0.0.1', '::': '::1' }[host] ?? host;
  const url = `http://${isIPv6(name) ? `[${name}]` : name}:${port}`;
  try {
    await createClient({ url, retryForMs: 0, idleTimeoutMs: SERVER_WAIT_MS }).limits({ signal });
    return url;
  } catch (error) {
    // A refusal of its API, for want of a key, is an answer, too.
    const isRefusal = error instanceof InferqlError && error.httpStatus === undefined;
    return isRefusal && error.code !== 'UNREACHABLE' && error.code !== 'BAD_RESPONSE' ? url : undefined;
  }
}

const checkMemory: Check = async () => {
  const limit = process.constrainedMemory() || totalmem();
  const bytes = Math.min(limit, totalmem());
  const found = `${(bytes / GIBIBYTE).toFixed(1)} GiB, ${availableParallelism()} cores`;
  if (bytes >= LEAST_MEMORY) return [ok('memory', found)];
  return [warning('memory', found, 'ResNet50 needs about 2 GiB. Use a smaller model, or a machine with more memory.')];
};

export const checkState: Check = async (machine) => {
  const stateDir = stateDirOf(machine);
  try {
    makeFolder(stateDir, 0o700);
    await access(stateDir, constants.W_OK);
  } catch (error) {
    const cure = 'Make it writable, or set INFERQL_STATE_DIR to another folder.';
    return [problem('state folder', (error as Error).message, cure)];
  }
  const { bavail, bsize } = await statfs(stateDir);
  const found = `${stateDir}, ${((bavail * bsize) / GIBIBYTE).toFixed(1)} GiB free`;
  if (bavail * bsize >= LEAST_DISK) return [ok('state folder', found)];
  return [warning('state folder', found, 'Prepared models need about 0.5 GiB each. Free some space.')];
};

export const checkRedis: Check = async (machine) => {
  const { env } = machine;
  if (env.REDIS_URL) {
    try {
      await waitForExternalRedis(env.REDIS_URL, REDIS_WAIT_MS, (_title, work) => work());
    } catch (error) {
      const [found, ...cure] = (error as Error).message.split('\n');
      return [problem('Redis', found!, cure.join(' ') || 'Correct REDIS_URL.')];
    }
    return [ok('Redis', 'the Redis at REDIS_URL responds')];
  }
  const tooOld: string[] = [];
  try {
    const builtPathFile = join(stateDirOf(machine), BUILT_PATH_FILE);
    const binary = findRedisServer(env.INFERQL_REDIS_SERVER, builtPathFile, (text) => tooOld.push(text.trim()));
    if (binary) return [ok('Redis', `${binary}, for a private Redis`)];
  } catch (error) {
    return [problem('Redis', (error as Error).message, 'Correct INFERQL_REDIS_SERVER.')];
  }
  const cure = 'Install redis-server or valkey-server, or set REDIS_URL to a running Redis.';
  const found = ['No server program found; starting InferQL would install or build one.', ...tooOld].join(' ');
  return [warning('Redis', found, cure)];
};

/** Native code is loaded in a child process, since it crashes on an old processor or with another C library. */
const checkEngines: Check = async ({ signal }) => {
  const worker = resolvePackage('@inferql/worker', import.meta.url);
  const server = resolvePackage('@inferql/images', import.meta.url);
  return [
    await checkLibrary('engine onnxruntime', 'onnxruntime-node', worker, {
      missing: 'warning',
      signal,
      cure: 'Without it, predictions use wasm, which is 5 to 10 times slower. Install it: npm install --ignore-scripts onnxruntime-node',
    }),
    await checkLibrary('engine wasm', '@tensorflow/tfjs-backend-wasm', worker, {
      missing: 'warning',
      signal,
      cure: 'Install the packages again: npm install',
    }),
    await checkLibrary('image decoding (sharp)', 'sharp', server, {
      missing: 'problem',
      signal,
      cure: 'Install the packages again: npm install. See https://sharp.pixelplumbing.com/install',
    }),
  ];
};

/** @param from the file of the package that imports the library @throws the signal's reason */
export async function checkLibrary(
  check: string,
  library: string,
  from: string | undefined,
  { missing, cure, signal }: { missing: 'warning' | 'problem'; cure: string; signal?: AbortSignal | undefined },
): Promise<Finding> {
  const report = (found: string): Finding => ({ check, verdict: missing, found, cure });
  let path: string;
  try {
    path = createRequire(from ?? import.meta.url).resolve(library);
  } catch {
    return report(`${library} is not installed`);
  }
  const failure = await loadInProcess(path, signal);
  // The library does not matter: the terminal's Ctrl-C reaches its process, too.
  signal?.throwIfAborted();
  return failure === undefined ? ok(check, 'loads') : report(`${library} does not load: ${failure}`);
}

/** Resolves to undefined if a module loads, else to the reason. */
async function loadInProcess(path: string, signal: AbortSignal | undefined): Promise<string | undefined> {
  const child = spawn(process.execPath, ['--eval', `require(${JSON.stringify(path)})`], {
    cwd: dirname(path),
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: ENGINE_TIMEOUT_MS,
    ...(signal && { signal }),
  });
  let output = '';
  child.stderr.on('data', (chunk) => {
    output += chunk;
  });
  return await new Promise((done) => {
    child.once('error', (error) => done(error.message));
    child.once('close', (code, signal) => {
      if (code === 0) return done(undefined);
      const line = output.split('\n').find((text) => /Error/.test(text));
      done(line?.trim() ?? (signal ? `killed by ${signal}` : `exit code ${code}`));
    });
  });
}

function resolvePackage(name: string, from: string): string | undefined {
  try {
    return createRequire(from).resolve(`${name}/package.json`);
  } catch {
    return undefined;
  }
}

function stateDirOf({ env, dir }: Machine): string {
  return resolve(dir, env.INFERQL_STATE_DIR || '.inferql');
}

function readOrDefaults(env: Machine['env']): { port: number; host: string } {
  try {
    return readSettings('launcher', env);
  } catch {
    return readSettings('launcher', {});
  }
}

function ok(check: string, found: string): Finding {
  return { check, verdict: 'ok', found };
}

function warning(check: string, found: string, cure: string): Finding {
  return { check, verdict: 'warning', found, cure };
}

function problem(check: string, found: string, cure: string): Finding {
  return { check, verdict: 'problem', found, cure };
}
