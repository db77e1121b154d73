// Whether a process that an earlier start recorded is still that process: its number may have been given to another.
// Plain JavaScript, like lock.mjs: scripts/bootstrap.mjs needs both before anything is installed or built.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

/**
 * A text that is constant while this process lives, and undefined once it is gone (or a zombie).
 * @param {number} pid
 * @returns {string | undefined}
 */
export function identifyProcess(pid) {
  if (!Number.isInteger(pid) || pid <= 0) return undefined;
  if (process.platform === 'linux') {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      // The name in parentheses may contain anything, spaces and parentheses too; the 22nd field is the start time.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
      return `${bootId()} ${fields[19]}`;
    } catch {
      return undefined;
    }
  }
  const { stdout } = spawnSync('ps', ['-o', 'stat=,lstart=', '-p', String(pid)], { encoding: 'utf8' });
  const [state, ...started] = (stdout ?? '').trim().split(/\s+/);
  if (!state || state.startsWith('Z')) return undefined;
  return started.join(' ');
}

let boot;
function bootId() {
  boot ??= readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  return boot;
}

/** The command line of a process, or an empty text. */
export function readCommandLine(pid) {
  const { stdout } = spawnSync('ps', ['-o', 'args=', '-p', String(pid)], { encoding: 'utf8' });
  return (stdout ?? '').trim();
}

/**
 * Ends a process that is not a child of this one: SIGTERM, then SIGKILL after `graceMs`. Resolves once it is gone.
 * @param {number} pid
 * @param {string} identity from identifyProcess, so that a successor with the same number is not ended
 */
export async function killForeignProcess(pid, identity, graceMs) {
  const startedAt = Date.now();
  let signal = 'SIGTERM';
  while (identifyProcess(pid) === identity) {
    if (Date.now() - startedAt >= graceMs) signal = 'SIGKILL';
    try {
      process.kill(pid, signal);
    } catch (error) {
      if (error.code === 'ESRCH') return;
      throw error;
    }
    // Only a parent is notified of an end; other processes must poll.
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const GROUP_GRACE_MS = 2_000;
const GROUP_TIMEOUT_MS = 5_000;

/** Ends a process group: SIGTERM, then SIGKILL. */
export async function endGroup(groupId) {
  for (let waitedMs = 0; waitedMs < GROUP_TIMEOUT_MS; waitedMs += 50) {
    if (!signalGroup(groupId, waitedMs < GROUP_GRACE_MS ? 'SIGTERM' : 'SIGKILL')) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** Sends a signal to a process group; returns whether it had any process. */
export function signalGroup(groupId, signal) {
  try {
    process.kill(-groupId, signal);
    return true;
  } catch (error) {
    if (error.code === 'ESRCH') return false;
    throw error;
  }
}
