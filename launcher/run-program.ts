/** Runs a program in the foreground: it shares our output, gets Ctrl-C, and this process exits after it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';

/**
 * Runs a Node program to its end.
 * @param options.env its whole environment. @default ours
 * @returns its exit code; 1 if a signal ended it
 */
export async function runProgram(
  args: readonly string[],
  options: { cwd: string; env?: Record<string, string | undefined> },
): Promise<number> {
  const child = spawn(process.execPath, args, { ...options, stdio: 'inherit' });
  // Ctrl-C reaches the program, too: it cleans up, and this process exits after it.
  const ignore = () => {};
  const forward = () => child.kill('SIGTERM');
  process.on('SIGINT', ignore);
  process.on('SIGHUP', ignore);
  process.on('SIGTERM', forward);
  try {
    const [code] = (await once(child, 'exit')) as [number | null];
    return code ?? 1;
  } finally {
    process.off('SIGINT', ignore);
    process.off('SIGHUP', ignore);
    process.off('SIGTERM', forward);
  }
}
