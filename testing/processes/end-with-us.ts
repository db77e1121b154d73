import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';

/** Reads until our end of the pipe is closed, by us or by our death. */
const WATCH = 'read -r _; kill -KILL "$1" 2>/dev/null; rm -rf "$2"';

/**
 * Ends a detached child, and removes its folder, if this process dies while the child runs, also by kill -9. A test runner kills a
 * test file that hangs, which runs no clean-up.
 */
export function endWithUs(child: ChildProcess, folder: string): void {
  const args = ['-c', WATCH, 'sh', String(child.pid), folder];
  const watcher = spawn('sh', args, { stdio: ['pipe', 'ignore', 'ignore'], detached: true });
  watcher.unref();
  (watcher.stdin as Socket).unref();
  child.once('exit', () => watcher.kill('SIGKILL'));
}
