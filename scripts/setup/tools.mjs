// Running the tools of the set-up: quiet unless they fail, written down so that one that outlives a kill is found again.
import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { logsDir, projectDir, setupDir } from './places.mjs';
import { identifyProcess } from './processes.mjs';
import { SetupError } from './screen.mjs';

const runningToolPath = join(setupDir, 'running-tool.json');
const ENDING_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'];
const SHOWN_LINES = 40;
const LEFTOVER_GRACE_MS = 2_000;
const LEFTOVER_TIMEOUT_MS = 5_000;

let runningPid;
let ending;

/** Ends the tool at work, by force where it does not listen. Only for a process that then leaves: whoever waits for the tool waits on. */
export function endRunningTool() {
  ending ??= runningPid === undefined ? Promise.resolve() : endGroup(runningPid);
  return ending;
}

/**
 * Runs a tool to its end, its output in `.inferql/logs/<name>.log`.
 * @param {string} name of the log
 * @param {string} command
 * @param {string[]} args
 * @param {{ env?: Record<string, string | undefined>, passOutput?: boolean, acceptCodes?: number[] }} [options] passOutput shows the output as it
 *   comes; acceptCodes are exit codes besides 0 that are no failure
 * @returns {Promise<number>} its exit code
 * @throws {SetupError} with the last lines of the output
 */
export async function runTool(name, command, args, { env, passOutput = false, acceptCodes = [] } = {}) {
  const logPath = join(logsDir, `${name}.log`);
  const log = passOutput ? undefined : openSync(logPath, 'w');
  const output = passOutput ? 'inherit' : log;
  let child;
  const endTool = () => child?.pid && signalGroup(child.pid, 'SIGTERM');
  const exitOnSignal = (_signal, number) => endRunningTool().finally(() => process.exit(128 + number));
  // Without a listener a signal would end us without the 'exit' that ends the tool; the launcher has listeners of its own.
  const unheard = ENDING_SIGNALS.filter((signal) => process.listenerCount(signal) === 0);
  for (const signal of unheard) process.on(signal, exitOnSignal);
  process.once('exit', endTool);
  try {
    child = spawn(command, args, {
      cwd: projectDir,
      stdio: ['ignore', output, output],
      env: { ...process.env, ...env },
      // A group of its own, because a tool may be a mere starter of the process that does the work: they end together.
      detached: true,
    });
    runningPid = child.pid;
    if (child.pid)
      writeFileSync(runningToolPath, JSON.stringify({ pid: child.pid, identity: identifyProcess(child.pid) }));
    const { code, signal } = await waitForExit(child, command);
    if (ending) await new Promise(() => {});
    if (code === 0 || acceptCodes.includes(code)) return code;
    const how = signal ? `was ended by ${signal}` : `failed with exit code ${code}`;
    throw new SetupError(`${[command, ...args].join(' ')}\n${how}.${passOutput ? '' : lastLines(logPath)}`);
  } finally {
    process.off('exit', endTool);
    for (const signal of unheard) process.off(signal, exitOnSignal);
    runningPid = undefined;
    if (log !== undefined) closeSync(log);
    rmSync(runningToolPath, { force: true });
  }
}

function waitForExit(child, command) {
  return new Promise((resolve, reject) => {
    child.once('error', (error) => reject(new SetupError(`${command} could not be started: ${error.message}`)));
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
}

function lastLines(logPath) {
  const lines = readFileSync(logPath, 'utf8').trimEnd().split('\n');
  return ` Its last words (all of them: ${logPath}):\n${lines
    .slice(-SHOWN_LINES)
    .map((line) => `    ${line}`)
    .join('\n')}`;
}

/** A start that was killed leaves its tool at work; two of them in one folder would spoil it. Call it with the set-up's lock held. */
export async function endLeftoverTool() {
  if (!existsSync(runningToolPath)) return;
  try {
    const { pid, identity } = JSON.parse(readFileSync(runningToolPath, 'utf8'));
    // The leader may be gone and others of its group at work; a number that means somebody else now is left alone.
    const present = identifyProcess(pid);
    if (present === undefined || present === identity) await endGroup(pid);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  rmSync(runningToolPath, { force: true });
}

async function endGroup(groupId) {
  for (let waitedMs = 0; waitedMs < LEFTOVER_TIMEOUT_MS; waitedMs += 50) {
    if (!signalGroup(groupId, waitedMs < LEFTOVER_GRACE_MS ? 'SIGTERM' : 'SIGKILL')) return;
    // Nobody but their parent is told of their end.
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** @returns {boolean} whether there was anybody to receive it */
function signalGroup(groupId, signal) {
  try {
    process.kill(-groupId, signal);
    return true;
  } catch (error) {
    if (error.code === 'ESRCH') return false;
    throw error;
  }
}

/** The command and first arguments that run npm: the one that runs us, else the one on the PATH. */
export function npmCommand() {
  const script = process.env.npm_execpath;
  if (script && /npm-cli\.[cm]?js$/.test(script) && existsSync(script)) return [process.execPath, script];
  return ['npm'];
}

/** Runs a package's own command with this Node, without npx in between. */
export function runPackageScript(name, script, args, options) {
  return runTool(name, process.execPath, [join(projectDir, 'node_modules', script), ...args], options);
}
