// A lock file that names its holder, so that a killed process' lock is recognized at once and nobody waits for it.
// (proper-lockfile goes by a file's age: it would wait ten seconds.)
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { identifyProcess } from './processes.mjs';

let attempts = 0;

/**
 * Takes the lock, or returns its holder.
 * @param {string} path
 * @returns {{ taken: true, release(): void } | { taken: false, holderPid: number }}
 */
export function tryLock(path) {
  const mine = `${path}.${process.pid}.${attempts++}`;
  writeFileSync(mine, JSON.stringify({ pid: process.pid, identity: identifyProcess(process.pid) }));
  try {
    for (;;) {
      try {
        // A link appears with its content in one step, and never replaces another's.
        linkSync(mine, path);
        return { taken: true, release: () => releaseLock(path) };
      } catch (error) {
        if (error.code !== 'EEXIST') throw error;
      }
      const holder = readHolder(path);
      if (holder && isAlive(holder)) return { taken: false, holderPid: holder.pid };
      removeStale(path, `${mine}.stale`);
    }
  } finally {
    rmSync(mine, { force: true });
  }
}

/** Takes the lock as soon as its holder releases it or dies; `onWait` is called once if there is something to wait for. */
export async function waitForLock(path, onWait) {
  let notified = false;
  for (;;) {
    const lock = tryLock(path);
    if (lock.taken) return lock;
    if (!notified) onWait(lock.holderPid);
    notified = true;
    // A holder that is killed removes nothing, so there is no event to wait for.
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

function readHolder(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return undefined;
  }
}

function isAlive({ pid, identity }) {
  const present = identifyProcess(pid);
  return present !== undefined && present === identity;
}

function removeStale(path, aside) {
  try {
    renameSync(path, aside);
  } catch (error) {
    if (error.code === 'ENOENT') return;
    throw error;
  }
  // Between the check and the rename another start may have replaced the stale lock with its lock: restore that one.
  const moved = readHolder(aside);
  if (moved && isAlive(moved)) {
    try {
      linkSync(aside, path);
    } catch (error) {
      if (error.code !== 'EEXIST') throw error;
    }
  }
  rmSync(aside, { force: true });
}

function releaseLock(path) {
  if (readHolder(path)?.pid === process.pid) rmSync(path, { force: true });
}
