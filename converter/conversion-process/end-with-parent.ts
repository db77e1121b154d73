import { Worker } from 'node:worker_threads';

/**
 * Kills this process when its standard input, a pipe of the parent to which nothing is written, ends: the parent has gone. Native code blocks
 * this thread, forever if it hangs, so another one waits. It waits in its event loop: a thread inside a system call could not be ended, and
 * `process.exit` waits for every thread's end.
 */
export function endWithParent(): void {
  new Worker(
    `const { Socket } = require('node:net');
     const die = () => process.kill(process.pid, 'SIGKILL');
     new Socket({ fd: 0, readable: true, writable: false }).on('error', die).on('close', die).resume();`,
    { eval: true, stdin: false, resourceLimits: { maxOldGenerationSizeMb: 16, maxYoungGenerationSizeMb: 2 } },
  ).unref();
}
