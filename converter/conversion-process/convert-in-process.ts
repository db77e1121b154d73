import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { ModelError, type ModelErrorCode } from '../errors.ts';
import { collectOutput } from '../model-process/process-output.ts';
import type { PreparedStamp } from '../prepared-model.ts';
import type { Convert } from './conversion.ts';
import type { ConversionFailure, FromConversion } from './protocol.ts';

/**
 * Converts in a process of lower priority, for a process that serves meanwhile: it neither waits nor keeps the memory that a conversion takes, up
 * to 2.5 times the model's file. The process is killed if `signal` is aborted.
 * @param programPath the process' main file. @default conversion-main.js next to this module
 */
export function createProcessConverter(
  programPath = fileURLToPath(new URL('./conversion-main.js', import.meta.url)),
): Convert {
  return (conversion, signal) =>
    new Promise<PreparedStamp>((resolve, reject) => {
      if (signal?.aborted) return reject(canceled());
      const child = fork(programPath, [], {
        // The end of standard input shows it that this process has ended.
        stdio: ['pipe', 'pipe', 'pipe', 'ipc'],
        serialization: 'advanced',
        execArgv: [],
      });
      const output = collectOutput(child);
      child.stdin?.on('error', () => undefined);
      const cancel = () => child.kill('SIGKILL');
      signal?.addEventListener('abort', cancel, { once: true });
      let answer: FromConversion | undefined;
      child.on('message', (message: FromConversion | { type?: unknown } | null) => {
        if (message?.type === 'converted' || message?.type === 'failed') answer = message as FromConversion;
      });
      const end = (how: string, cause?: Error) => {
        signal?.removeEventListener('abort', cancel);
        if (answer?.type === 'converted') resolve(answer.stamp);
        else if (answer) reject(restoreError(answer.failure));
        else if (signal?.aborted) reject(canceled());
        else reject(describeEnd(how, output.last(), cause));
      };
      // 'close' follows the last output and message; a process that did not start has an 'error' alone.
      child.once('close', (exitCode, killedBy) => end(killedBy ?? `exit code ${exitCode}`));
      child.once('error', (cause) => {
        if (child.pid === undefined) end('it could not be started', cause);
      });
      // A failure means that the process has ended, which its events report.
      if (child.connected) child.send(conversion, () => undefined);
    });
}

function canceled(): ModelError {
  return new ModelError('CANCELED', 'the conversion was canceled');
}

function restoreError({ isModelError, code, message, stack }: ConversionFailure): Error {
  if (isModelError) return new ModelError(code as ModelErrorCode, message);
  return Object.assign(new Error(message), { ...(code !== undefined && { code }), ...(stack && { stack }) });
}

function describeEnd(how: string, printed: string, cause: Error | undefined): ModelError {
  const lines = printed.split('\n').map((line) => line.trim());
  // Node prints its version last.
  const told = lines.filter((line) => line !== '' && !/^Node\.js v/.test(line));
  const lastLine = (told.findLast((line) => /^\w*Error\b/.test(line)) ?? told.at(-1))?.slice(0, 300);
  const isMemory = how === 'SIGKILL' || /heap out of memory|Reached heap limit/.test(printed);
  const why = isMemory
    ? ", as when memory is full: a conversion takes up to 2.5 times the size of the model's file"
    : '';
  return new ModelError(
    'RUN_CRASHED',
    `the conversion ended its process (${how}${why})${lastLine ? `: ${lastLine}` : ''}`,
    {
      cause,
    },
  );
}
