import { Worker } from 'node:worker_threads';

export interface MemoryLimit {
  limitBytes: number;
  /** Written to standard error before the process is killed. */
  mark: string;
}

/**
 * Kills this process when its standard input, a pipe of the parent to which nothing is written, ends: the parent has gone. Native code blocks
 * this thread, forever if it hangs, so another one waits. It waits in its event loop: a thread inside a system call could not be ended, and
 * `process.exit` waits for every thread's end.
 * @param memory kills the process also when it takes more
 */
export function endWithParent(memory?: MemoryLimit): void {
  new Worker(
    `const { writeSync } = require('node:fs');
     const { Socket } = require('node:net');
     const memory = require('node:worker_threads').workerData;
     const die = () => process.kill(process.pid, 'SIGKILL');
     new Socket({ fd: 0, readable: true, writable: false }).on('error', die).on('close', die).resume();
     if (memory) setInterval(() => {
       if (process.memoryUsage.rss() <= memory.limitBytes) return;
       writeSync(2, memory.mark + '\\n');
       die();
     }, 100);`,
    {
      eval: true,
      stdin: false,
      workerData: memory,
      resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 },
    },
  ).unref();
}
