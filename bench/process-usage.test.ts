import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { expect, test } from 'vitest';
import { childrenOf, isRunning, readTreeCpuMs, sumRssBytes, withDescendants } from './process-usage.ts';

const startProcess = () => spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });

test.runIf(existsSync('/proc/self/smaps_rollup'))(
  'a process that ends while it is measured counts nothing',
  async () => {
    const child = startProcess();
    const exited = once(child, 'exit');
    const pid = child.pid!;
    expect(withDescendants([process.pid])).toContain(pid);
    expect(sumRssBytes([pid])).toBeGreaterThan(0);

    // It has ended, but this process has not taken its exit status yet: its files are there, and cannot be read.
    child.kill('SIGKILL');
    while (isRunning(pid));
    expect(sumRssBytes([process.pid, pid])).toBeGreaterThan(0);
    expect(sumRssBytes([pid])).toBe(0);
    expect(childrenOf(pid)).toEqual([]);

    await exited;
    expect(sumRssBytes([pid])).toBe(0);
    expect(childrenOf(pid)).toEqual([]);
    expect(withDescendants([pid])).toEqual([pid]);
    expect(readTreeCpuMs([pid])).toBe(0);
  },
);
