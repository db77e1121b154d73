import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { ModelError } from '../errors.ts';
import { collectOutput } from '../model-process/process-output.ts';
import type { PreparedStamp } from '../prepared-model.ts';
import type { Convert } from './conversion.ts';
import type { FromConversion } from './protocol.ts';

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
        stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
        serialization: 'advanced',
        execArgv: [],
      });
      const output = collectOutput(child);
      const cancel = () => child.kill('SIGKILL');
      signal?.addEventListener('abort', cancel, { once: true });
      let answer: FromConversion | undefined;
      child.once('message', (message: FromConversion) => {
        answer = message;
      });
      const end = (how: string, cause?: Error) => {
        signal?.removeEventListener('abort', cancel);
        if (answer && 'stamp' in answer) resolve(answer.stamp);
        else if (answer) reject(describeError(answer.error));
        else if (signal?.aborted) reject(canceled());
        else reject(describeEnd(how, output.last(), cause));
      };
      // 'close' follows the last output and message; a process that did not start has an 'error' alone.
      child.once('close', (exitCode, killedBy) => end(killedBy ?? `exit code ${exitCode}`));
      child.once('error', (cause) => {
        if (child.pid === undefined) end('it could not be started', cause);
      });
      // A failure means that the process has ended, which its events report.
      child.send(conversion, () => undefined);
    });
}

function canceled(): ModelError {
  return new ModelError('CANCELED', 'the conversion was canceled');
}

function describeError({ code, message }: { code?: ModelError['code']; message: string }): Error {
  return code === undefined ? new Error(message) : new ModelError(code, message);
}

function describeEnd(how: string, printed: string, cause: Error | undefined): ModelError {
  const lastLine = printed.trimEnd().split('\n').at(-1)?.trim().slice(0, 300);
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
