import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

/** A separate process that answers one question after another. */
export interface Answerer<Question, Answer> {
  pid: number;
  /** One at a time. @throws if the process fails or ends. */
  ask(question: Question): Promise<Answer>;
  close(): Promise<void>;
}

/** @param file path of the process' main file from this folder, `.js` */
export function startAnswerer<Question extends object, Answer>(file: string): Answerer<Question, Answer> {
  const child: ChildProcess = fork(join(import.meta.dirname, file), [], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    serialization: 'advanced',
  });
  return {
    pid: child.pid!,
    ask(question) {
      return new Promise<Answer>((resolve, reject) => {
        const onExit = (code: number | null, signal: string | null) =>
          reject(new Error(`${file} ended (${signal ?? code})`));
        child.once('exit', onExit);
        child.once('message', (reply: { answer: Answer } | { error: string }) => {
          child.off('exit', onExit);
          if ('error' in reply) reject(new Error(`${file}: ${reply.error}`));
          else resolve(reply.answer);
        });
        child.send(question);
      });
    },
    async close() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, 'exit');
      child.kill('SIGKILL');
      await exited;
    },
  };
}

/** The other end: answers each question that arrives. */
export function answerWith<Question, Answer>(answer: (question: Question) => Promise<Answer>): void {
  process.on('message', (question: Question) => {
    answer(question).then(
      (given) => process.send!({ answer: given }),
      (error: unknown) =>
        process.send!({ error: error instanceof Error ? (error.stack ?? error.message) : String(error) }),
    );
  });
  process.once('disconnect', () => process.exit(0));
}
