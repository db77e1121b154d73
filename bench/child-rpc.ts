import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { hasEnded } from '@inferql/testing/processes/has-ended';

/** A separate process that answers one request after another. */
export interface RpcChild<Request, Response> {
  pid: number;
  /** One at a time. @throws if the process fails or ends. */
  call(request: Request): Promise<Response>;
  close(): Promise<void>;
}

/** @param file path of the process' main file from this folder, `.js` */
export function startRpcChild<Request extends object, Response>(file: string): RpcChild<Request, Response> {
  const child: ChildProcess = fork(join(import.meta.dirname, file), [], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    serialization: 'advanced',
  });
  return {
    pid: child.pid!,
    call(request) {
      return new Promise<Response>((resolve, reject) => {
        const onExit = (code: number | null, signal: string | null) =>
          reject(new Error(`${file} ended (${signal ?? code})`));
        child.once('exit', onExit);
        child.once('message', (reply: { response: Response } | { error: string }) => {
          child.off('exit', onExit);
          if ('error' in reply) reject(new Error(`${file}: ${reply.error}`));
          else resolve(reply.response);
        });
        child.send(request);
      });
    },
    async close() {
      if (hasEnded(child)) return;
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    },
  };
}

/** The other end: answers each request that arrives. */
export function serveRpc<Request, Response>(response: (request: Request) => Promise<Response>): void {
  process.on('message', (request: Request) => {
    response(request).then(
      (given) => process.send!({ response: given }),
      (error: unknown) =>
        process.send!({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
    );
  });
  process.once('disconnect', () => process.exit(0));
}
