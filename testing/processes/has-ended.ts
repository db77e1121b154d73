import type { ChildProcess } from 'node:child_process';

/** Whether a process that was started has ended, in whichever way. */
export function hasEnded(child: Pick<ChildProcess, 'exitCode' | 'signalCode'>): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}
