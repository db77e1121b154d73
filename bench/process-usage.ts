import { readdirSync, readFileSync } from 'node:fs';

/** Linux counts CPU in hundredths of a second on every machine that we know (sysconf(_SC_CLK_TCK)). */
const MS_PER_TICK = 10;

export interface ProcessCpu {
  /** CPU of all threads, user and system. */
  totalMs: number;
  /** CPU of the first thread, in which JavaScript runs. */
  mainThreadMs: number;
}

function ticksOf(stat: string): number {
  // The second field is a name in parentheses that may contain spaces.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

/** CPU since the process began. Linux only. */
export function readCpu(pid: number): ProcessCpu {
  return {
    totalMs: ticksOf(readFileSync(`/proc/${pid}/stat`, 'utf8')) * MS_PER_TICK,
    mainThreadMs: ticksOf(readFileSync(`/proc/${pid}/task/${pid}/stat`, 'utf8')) * MS_PER_TICK,
  };
}

export function subtractCpu(after: ProcessCpu, before: ProcessCpu): ProcessCpu {
  return { totalMs: after.totalMs - before.totalMs, mainThreadMs: after.mainThreadMs - before.mainThreadMs };
}

export interface ProcessMemory {
  /** Resident memory. */
  rssBytes: number;
  /** Resident memory, with shared pages divided among the processes that share them. */
  pssBytes: number;
}

/** Linux only. */
export function readMemory(pid: number): ProcessMemory {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const bytes = (name: string) =>
    1024 * Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1] ?? Number.NaN);
  return { rssBytes: bytes('Rss'), pssBytes: bytes('Pss') };
}

/** Resident memory of these processes together, in bytes; those that have ended count nothing. Linux only. */
export function sumRssBytes(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + (ifRunning(() => readMemory(pid).rssBytes) ?? 0), 0);
}

/** Processes that this process' threads started and that still run; none if it has ended. Linux only. */
export function childrenOf(pid: number): number[] {
  const threads = ifRunning(() => readdirSync(`/proc/${pid}/task`)) ?? [];
  return threads.flatMap((thread) => {
    const children = ifRunning(() => readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8')) ?? '';
    return children.split(' ').filter(Boolean).map(Number);
  });
}

/** What is read of a process or thread, or undefined if it ends meanwhile: decoders come and go. */
function ifRunning<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
}

/** These processes and all that they started, directly or not. Linux only. */
export function withDescendants(pids: readonly number[]): number[] {
  return pids.flatMap((pid) => [pid, ...withDescendants(childrenOf(pid))]);
}

/** CPU of these processes and of all that they started since they began, in milliseconds. Linux only. */
export function readTreeCpuMs(pids: readonly number[]): number {
  return withDescendants(pids).reduce((sum, pid) => sum + (ifRunning(() => readCpu(pid).totalMs) ?? 0), 0);
}

/** False once it has exited, even if its parent has not reaped it yet. Linux only. */
export function isRunning(pid: number): boolean {
  try {
    return !/^\S+ \(.*\) [ZX] /s.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
