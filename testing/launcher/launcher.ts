import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { whenOutputRead } from '../processes/child-process.ts';

/** A running `npm start` or another script of package.json (without npm around it), the leader of a separate process group, as in a terminal. */
export interface Launcher {
  readonly process: ChildProcess;
  readonly pid: number;
  /** Everything it has printed so far. */
  output(): string;
  /** Resolves once its output matches; rejects with the output if it ends first. */
  printed(pattern: RegExp): Promise<RegExpExecArray>;
  /** The address, once it reports that it is ready. */
  ready(): Promise<string>;
  /** Its exit code (or the signal's name), once it has ended. */
  exited(): Promise<number | string>;
  /** Sends a signal to the whole group, which is what a terminal does. */
  signalGroup(signal: NodeJS.Signals): void;
}

export function startLauncher(
  projectDir: string,
  env: Record<string, string | undefined> = {},
  command: readonly string[] = ['start'],
): Launcher {
  const child = spawn(process.execPath, ['scripts/run.mjs', ...command], {
    cwd: projectDir,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      REDIS_URL: undefined,
      NODE_ENV: undefined,
      INFERQL_STATE_DIR: undefined,
      VITEST: undefined,
      ...env,
    },
  });
  let output = '';
  let end: number | string | undefined;
  const checks = new Set<() => void>();
  const notice = () => {
    for (const check of checks) check();
  };
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      output += chunk.toString();
      notice();
    });
  }
  child.once('exit', async (code, signal) => {
    await whenOutputRead(child);
    end = code ?? signal ?? 'unknown';
    notice();
  });

  const watch = <T>(look: () => T | undefined) =>
    new Promise<T>((resolve, reject) => {
      const check = () => {
        try {
          const found = look();
          if (found === undefined) return;
          resolve(found);
        } catch (error) {
          reject(error);
        }
        checks.delete(check);
      };
      checks.add(check);
      check();
    });
  const printed = (pattern: RegExp) =>
    watch(() => {
      const match = pattern.exec(output);
      if (!match && end !== undefined) throw new Error(`it ended (${end}) before it printed ${pattern}:\n${output}`);
      return match ?? undefined;
    });

  return {
    process: child,
    pid: child.pid!,
    output: () => output,
    printed,
    ready: async () => (await printed(/ready: (http:\S+)/))[1]!,
    exited: () => watch(() => end),
    signalGroup: (signal) => process.kill(-child.pid!, signal),
  };
}

/** The command lines of the matching live processes, by process id. */
export function listProcesses(
  wanted: (row: { parent: number; group: number; command: string }) => boolean,
): Map<number, string> {
  const table = execFileSync('ps', ['-A', '-o', 'pid=,ppid=,pgid=,stat=,args='], { encoding: 'utf8' });
  const found = new Map<number, string>();
  for (const line of table.split('\n')) {
    const [, pid, parent, group, state, command] = /^\s*(\d+)\s+(\d+)\s+(\d+)\s+(\S+)\s+(.*)$/.exec(line) ?? [];
    if (!pid || state!.startsWith('Z')) continue;
    if (wanted({ parent: Number(parent), group: Number(group), command: command! })) found.set(Number(pid), command!);
  }
  return found;
}

/** Stops a worker's engine processes until the returned function is called: a batch that has begun does not end meanwhile. */
export function pauseEngines(worker: { pid: number }): () => void {
  const isEngine = (row: { parent: number; command: string }) =>
    row.parent === worker.pid && row.command.includes('engine-process-main');
  const engines = [...listProcesses(isEngine).keys()];
  if (engines.length === 0) throw new Error(`process ${worker.pid} has no engine`);
  for (const pid of engines) process.kill(pid, 'SIGSTOP');
  return () => {
    for (const pid of engines) process.kill(pid, 'SIGCONT');
  };
}
