/** Runs the tools of the setup: quiet unless they fail, and recorded, so that a tool that survives a kill is found again. */
import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { endGroup, identifyProcess, signalGroup } from './processes.mjs';
import { describeFullDisk } from './system-errors.mjs';
import { SetupError } from './terminal.ts';

const ENDING_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
const SHOWN_LINES = 40;

let runningPid: number | undefined;
let ending: Promise<void> | undefined;

/** Ends the running tool, by force if it does not react. Only for a process that then exits: callers that wait for the tool keep waiting. */
export function endRunningTool(): Promise<void> {
  ending ??= runningPid === undefined ? Promise.resolve() : endGroup(runningPid);
  return ending;
}

/** Where a tool runs, and where its log and its record are. */
export interface ToolFolders {
  readonly dir: string;
  readonly logsDir: string;
  readonly setupDir: string;
}

export interface ToolOptions {
  env?: Record<string, string | undefined>;
  /** Shows the output immediately, instead of writing it to a log. */
  passOutput?: boolean;
  /** Exit codes besides 0 that are not failures. */
  acceptCodes?: readonly number[];
}

/**
 * Runs a tool to its end, its output in `.inferql/logs/<name>.log`.
 * @returns its exit code
 * @throws SetupError with the last lines of the output
 */
export async function runTool(
  project: ToolFolders,
  name: string,
  command: string,
  args: readonly string[],
  { env, passOutput = false, acceptCodes = [] }: ToolOptions = {},
): Promise<number> {
  const logPath = join(project.logsDir, `${name}.log`);
  const log = passOutput ? undefined : openSync(logPath, 'w');
  let child: ChildProcess | undefined;
  const endTool = () => {
    if (child?.pid) signalGroup(child.pid, 'SIGTERM');
  };
  const exitOnSignal = (signal: NodeJS.Signals) => {
    endRunningTool().finally(() => process.exit(128 + constants.signals[signal]));
  };
  // Without a listener a signal would end this process without the 'exit' event that ends the tool; the launcher has other listeners.
  const unheard = ENDING_SIGNALS.filter((signal) => process.listenerCount(signal) === 0);
  for (const signal of unheard) process.on(signal, exitOnSignal);
  process.once('exit', endTool);
  try {
    const output = log ?? 'inherit';
    child = spawn(command, args, {
      cwd: project.dir,
      stdio: ['ignore', output, output],
      env: { ...process.env, ...env },
      // Its own group: a tool may only start the process that does the work, and they end together.
      detached: true,
    });
    runningPid = child.pid;
    const exited = waitForExit(child, command);
    if (child.pid) await recordTool(project, child.pid);
    const { code, signal } = await exited;
    if (ending) await new Promise(() => {});
    if (code !== null && (code === 0 || acceptCodes.includes(code))) return code;
    const how = signal ? `was ended by ${signal}` : `failed with exit code ${code}`;
    const shown = passOutput ? '' : readLastLines(logPath);
    const full = [project.setupDir, project.dir, tmpdir()].map(describeFullDisk).find(Boolean);
    throw new SetupError(`${[command, ...args].join(' ')}\n${how}.${shown}${full ? `\n${full}` : ''}`);
  } finally {
    process.off('exit', endTool);
    for (const signal of unheard) process.off(signal, exitOnSignal);
    runningPid = undefined;
    if (log !== undefined) closeSync(log);
    removeRecord(project);
  }
}

/** What went wrong before matters more than a record of a process that has ended. */
function removeRecord(project: ToolFolders): void {
  try {
    rmSync(recordPath(project), { force: true });
  } catch {}
}

/** A tool without a record would not be found after a kill, so it is ended if the record cannot be written. */
async function recordTool(project: ToolFolders, pid: number): Promise<void> {
  try {
    writeFileSync(recordPath(project), JSON.stringify({ pid, identity: identifyProcess(pid) }));
  } catch (error) {
    await endGroup(pid);
    throw error;
  }
}

function recordPath({ setupDir }: ToolFolders): string {
  return join(setupDir, 'running-tool.json');
}

function waitForExit(child: ChildProcess, command: string) {
  return new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve, reject) => {
    child.once('error', (error) => reject(new SetupError(`${command} could not be started: ${error.message}`)));
    child.once('exit', (code, signal) => resolve({ code, signal }));
  });
}

function readLastLines(logPath: string): string {
  const lines = readFileSync(logPath, 'utf8').trimEnd().split('\n').slice(-SHOWN_LINES);
  return ` The end of its output (all of it: ${logPath}):\n${lines.map((line) => `    ${line}`).join('\n')}`;
}

/** A start that was killed leaves its tool running; two tools in one folder would damage it. Needs the setup's lock. */
export async function endLeftoverTool(project: ToolFolders): Promise<void> {
  const path = recordPath(project);
  if (!existsSync(path)) return;
  try {
    const { pid, identity } = JSON.parse(readFileSync(path, 'utf8')) as { pid: number; identity?: string };
    // The leader may be gone while others of its group run; a number that now belongs to another process is ignored.
    const present = identifyProcess(pid);
    if (present === undefined || present === identity) await endGroup(pid);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  rmSync(path, { force: true });
}

/** The command and first arguments that run npm: the npm that runs this process, else the one on the PATH. */
export function findNpm(): [command: string, ...args: string[]] {
  const script = process.env.npm_execpath;
  if (script && /npm-cli\.[cm]?js$/.test(script) && existsSync(script)) return [process.execPath, script];
  return ['npm'];
}

/** Runs an installed package's command with this Node, without npx in between. */
export function runPackageScript(
  project: ToolFolders,
  name: string,
  script: string,
  args: readonly string[],
  options?: ToolOptions,
): Promise<number> {
  return runTool(project, name, process.execPath, [join(project.dir, 'node_modules', script), ...args], options);
}
