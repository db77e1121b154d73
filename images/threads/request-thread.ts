import { Worker } from 'node:worker_threads';

export type ThreadRequest<T> = T & { id: number };
/** What a thread posts back for each request. */
export type ThreadAnswer<T> = { id: number; answer: T } | { id: number; error: Error };

export interface RequestThread<Request, Answer> {
  /**
   * @param transfer memory that is moved to the thread instead of copied
   * @throws whatever the thread throws; an Error if it ends
   */
  ask(request: Request, transfer?: ArrayBuffer[]): Promise<Answer>;
  /** Requests without an answer. */
  pending(): number;
  close(): Promise<void>;
}

interface Waiting<Answer> {
  resolve(answer: Answer): void;
  reject(error: unknown): void;
}

/**
 * A thread that answers requests in their order. It starts with the first one, and again after it has failed; while it has none, it
 * does not keep the process alive.
 * @param path the thread's main file
 */
export function createRequestThread<Request extends object, Answer>(path: string): RequestThread<Request, Answer> {
  const waiting = new Map<number, Waiting<Answer>>();
  let worker: Worker | undefined;
  let lastId = 0;

  function start(): Worker {
    const started = new Worker(path);
    const fail = (error: unknown) => {
      if (worker === started) worker = undefined;
      for (const { reject } of waiting.values()) reject(error);
      waiting.clear();
    };
    started.on('message', (message: ThreadAnswer<Answer>) => {
      const request = waiting.get(message.id);
      waiting.delete(message.id);
      if (waiting.size === 0) started.unref();
      if ('error' in message) request?.reject(message.error);
      else request?.resolve(message.answer);
    });
    started.on('error', fail);
    started.on('exit', (code) => fail(new Error(`the thread that prepares images ended with code ${code}`)));
    return started;
  }

  return {
    ask(request, transfer = []) {
      worker ??= start();
      const thread = worker;
      const id = ++lastId;
      const message: ThreadRequest<Request> = { ...request, id };
      thread.postMessage(message, transfer);
      thread.ref();
      return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
    },
    pending: () => waiting.size,
    async close() {
      await worker?.terminate();
    },
  };
}
