// One supervised process: started, started again with backoff when it dies, drained when told to.
import { spawn } from 'node:child_process';
import { projectDir } from '../setup/places.mjs';
import { complain } from '../setup/screen.mjs';
import { showLogs } from './logs.mjs';

const FIRST_DELAY_MS = 250;
const LONGEST_DELAY_MS = 5_000;
const PROVEN_AFTER_MS = 30_000;
// A worker that grew too large drains and asks for a fresh start.
const EXIT_RESTART = 75;

/**
 * Starts a program of dist/ in our process group and keeps it going.
 *
 * Its descriptor 3 is the IPC channel, 4 the lifeline of the private Redis (where there is one). The channel carries, from the child,
 * `{type:'ready'}` (a worker is warm), `{type:'listening', url}`, `{type:'listen-failed', code, message}` (a server), and to the
 * server `{type:'listen'}`. A child that loses the channel has lost its launcher: it drains and leaves by itself.
 * @param {object} options
 * @param {string} options.name for the logs
 * @param {string} options.program relative to the project
 * @param {Record<string, string | undefined>} options.env
 * @param {import('node:stream').Writable | undefined} options.lifeline
 * @param {'people' | 'all' | 'json'} options.logStyle
 * @param {(message: { type: string } & Record<string, unknown>, send: (message: object) => void) => void} options.onMessage
 * @param {(send: (message: object) => void) => void} [options.onStart]
 * @param {(end: { failuresInARow: number, how: string }) => void} [options.onDeath]
 */
export function superviseChild({ name, program, env, lifeline, logStyle, onMessage, onStart, onDeath }) {
  let child;
  let stopping = false;
  let restartTimer;
  let failuresInARow = 0;
  let gone = Promise.resolve();

  function start() {
    const startedAt = Date.now();
    const started = spawn(process.execPath, [program], {
      cwd: projectDir,
      env,
      stdio: ['ignore', 'pipe', 'pipe', 'ipc', ...(lifeline ? [lifeline] : [])],
    });
    child = started;
    const send = (message) => {
      if (started.connected) started.send(message, () => {});
    };
    showLogs(started.stdout, name, logStyle);
    showLogs(started.stderr, name, logStyle);
    started.on('message', (message) => {
      if (typeof message?.type === 'string') onMessage(message, send);
    });
    gone = new Promise((resolve) => {
      // 'error' without 'exit' is a process that never began, as when the machine is out of them.
      started.once('error', (error) => {
        if (started.pid === undefined) resolve({ how: error.message, clean: false });
      });
      started.once('exit', (code, signal) =>
        resolve({ how: signal ?? `exit code ${code}`, clean: code === 0 || code === EXIT_RESTART }),
      );
    });
    gone.then(({ how, clean }) => {
      if (stopping) return;
      const livedMs = Date.now() - startedAt;
      failuresInARow = livedMs >= PROVEN_AFTER_MS ? 1 : failuresInARow + 1;
      const delayMs = Math.min(FIRST_DELAY_MS * 2 ** (failuresInARow - 1), LONGEST_DELAY_MS);
      if (!clean) complain(`  The ${name} ended (${how}); it is started again in ${delayMs} ms.`);
      restartTimer = setTimeout(start, delayMs);
      onDeath?.({ failuresInARow, how });
    });
    onStart?.(send);
  }

  start();
  return {
    name,
    get pid() {
      return child.pid;
    },
    get isRunning() {
      return child.pid !== undefined && child.exitCode === null && child.signalCode === null;
    },
    /** Asks it to finish what it holds; resolves once it is gone. */
    async stop() {
      stopping = true;
      clearTimeout(restartTimer);
      if (this.isRunning) child.kill('SIGTERM');
      await gone;
    },
    kill() {
      stopping = true;
      clearTimeout(restartTimer);
      if (this.isRunning) child.kill('SIGKILL');
    },
  };
}
