// The running system: Redis, workers, server, and the order in which they come and go.
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { modelsDir, stateDir } from '../setup/places.mjs';
import { identifyProcess } from '../setup/processes.mjs';
import { complain, SetupError, say } from '../setup/screen.mjs';
import { superviseChild } from './child.mjs';
import { describeListenFailure } from './settings.mjs';

// A server drains within this; workers are told afterwards, so that those who wait at the server still get their answers.
const SERVER_HEAD_START_MS = 10_000;
const STOP_TIMEOUT_MS = 30_000;
const FUTILE_STARTS = 5;

/**
 * Starts workers and server together; the server opens its port once the first worker is warm.
 * @param {object} options
 * @param {ReturnType<typeof import('./settings.mjs').readSettings>} options.settings
 * @param {{ url: string, lifeline?: import('node:stream').Writable, stop(): Promise<void> }} options.redis stopped last
 */
export function startSystem({ settings, redis }) {
  const { port, host, workerCount, logStyle } = settings;
  const recordPath = join(stateDir, `running-${process.pid}.json`);
  removeStaleRecords();
  const cores = availableParallelism();
  const env = {
    ...process.env,
    // Photographs pass as large short-lived buffers: a third less memory for the same work. What the user set wins.
    MALLOC_ARENA_MAX: process.env.MALLOC_ARENA_MAX || String(Math.max(2, cores)),
    NODE_OPTIONS: `--max-semi-space-size=2 ${process.env.NODE_OPTIONS ?? ''}`.trim(),
    REDIS_URL: redis.url,
    INFERQL_STATE_DIR: stateDir,
    INFERQL_MODELS_DIR: modelsDir,
    PORT: String(port),
    HOST: host,
    INFERQL_LISTEN: 'on-message',
  };
  // Workers of one machine share its cores; threads beyond them only get into each other's way.
  const threads = Math.max(1, Math.floor(cores / Math.max(1, workerCount)));
  const workerEnv = { ...env, INFERQL_ENGINE_THREADS: process.env.INFERQL_ENGINE_THREADS || String(threads) };
  // They decode photographs and access files. Two more than cores, since a decoder waits while it hands its strips from thread to thread.
  const serverEnv = { ...env, UV_THREADPOOL_SIZE: process.env.UV_THREADPOOL_SIZE || String(cores + 2) };
  const shared = { env, lifeline: redis.lifeline, logStyle };
  let mayListen = workerCount === 0;
  let isUp = false;
  let stopped;
  let tellServer = () => {};

  let up;
  let fail;
  const listening = new Promise((resolve, reject) => {
    up = resolve;
    fail = reject;
  });
  const giveUpWhenFutile = (name) => (end) => {
    if (!isUp && end.failuresInARow >= FUTILE_STARTS) {
      fail(
        new SetupError(
          `The ${name} ended ${FUTILE_STARTS} times before it was ready (${end.how}). Its messages are above.`,
        ),
      );
    }
  };

  const server = superviseChild({
    ...shared,
    env: serverEnv,
    name: 'server',
    program: 'dist/server/main.js',
    onStart(send) {
      tellServer = send;
      if (mayListen) send({ type: 'listen' });
    },
    onMessage(message) {
      if (message.type === 'listening') {
        isUp = true;
        writeFileSync(recordPath, JSON.stringify({ pid: process.pid, url: message.url, redisUrl: redis.url }));
        up(message.url);
      } else if (message.type === 'listen-failed') {
        const failure = describeListenFailure(message, port, host);
        if (isUp) complain(`  ${failure.message}`);
        else fail(failure);
      }
    },
    onDeath: giveUpWhenFutile('server'),
  });
  const workers = Array.from({ length: workerCount }, (_, index) => {
    const name = workerCount === 1 ? 'worker' : `worker ${index + 1}`;
    return superviseChild({
      ...shared,
      env: workerEnv,
      name,
      program: 'dist/worker/main.js',
      onMessage(message) {
        if (message.type !== 'ready' || mayListen) return;
        mayListen = true;
        tellServer({ type: 'listen' });
      },
      onDeath: giveUpWhenFutile(name),
    });
  });
  const children = [server, ...workers];

  async function drain() {
    const forced = setTimeout(() => killChildren('They did not finish in time.'), STOP_TIMEOUT_MS);
    const serverGone = server.stop();
    let headStart;
    await Promise.race([
      serverGone,
      new Promise((resolve) => {
        headStart = setTimeout(resolve, SERVER_HEAD_START_MS);
      }),
    ]);
    clearTimeout(headStart);
    await Promise.all([serverGone, ...workers.map((worker) => worker.stop())]);
    clearTimeout(forced);
    await redis.stop();
    rmSync(recordPath, { force: true });
  }

  let wasForced = false;
  function killChildren(reason) {
    const left = children.filter((child) => child.isRunning);
    for (const child of children) child.kill();
    if (left.length === 0) return;
    wasForced = true;
    complain(`  ${reason} Killed: ${left.map((child) => child.name).join(', ')}.`);
  }

  return {
    /** The address, once predictions can be answered; rejects when that is not going to happen. */
    listening,
    /** Server first, then workers, Redis last. Resolves to whether all of them left by themselves. */
    stop() {
      stopped ??= drain().then(() => !wasForced);
      return stopped;
    },
    killChildren,
    describeRunning() {
      const left = children.filter((child) => child.isRunning).map((child) => child.name);
      say(left.length > 0 ? `  Still finishing: ${left.join(', ')}.` : '  Still stopping Redis.');
    },
  };
}

/** Which systems of this folder run, and where, is written down for the project's other commands; a killed launcher leaves its note. */
function removeStaleRecords() {
  for (const name of readdirSync(stateDir)) {
    const pid = Number(/^running-(\d+)\.json$/.exec(name)?.[1]);
    if (pid && !identifyProcess(pid)) rmSync(join(stateDir, name), { force: true });
  }
}
