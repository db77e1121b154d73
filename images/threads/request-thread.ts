import { Worker } from 'node:worker_threads';
import { InferqlError } from '@inferql/queue/error-codes';

export type ThreadRequest<T> = T & { id: number };
/** What a thread posts back for each request. */
export type ThreadAnswer<T> = { id: number; answer: T } | { id: number; error: Error };

export interface RequestThread<Request, Answer> {
  /**
   * @param transfer memory that is moved to the thread instead of copied
   * @throws InferqlError UNAVAILABLE if the thread ends or lacks memory, INTERNAL_SERVER_ERROR if it throws anything else
   */
  ask(request: Request, transfer?: ArrayBuffer[]): Promise<Answer>;
  /** Requests without an answer. */
  pending(): number;
  close(): Promise<void>;
}

const RETRY_AFTER_MS = 1_000;

/** Another request may be the reason, so the request may be sent again. */
function refuseForNow(cause: unknown): InferqlError {
  const message = 'The image could not be prepared now. Try again a little later.';
  return new InferqlError('UNAVAILABLE', { message, retryAfterMs: RETRY_AFTER_MS, cause });
}

/** The request is not at fault: memory cannot be allocated (a RangeError), or the code has a fault. */
export function refuseFailure(cause: unknown): InferqlError {
  return cause instanceof RangeError ? refuseForNow(cause) : new InferqlError('INTERNAL_SERVER_ERROR', { cause });
}

interface Waiting<Answer> {
  resolve(answer: Answer): void;
  reject(error: unknown): void;
}

interface StartedThread<Answer> {
  worker: Worker;
  /** Its requests without an answer. They are not those of its successor, which may start before its last event. */
  waiting: Map<number, Waiting<Answer>>;
}

/**
 * A thread that answers requests in their order. It starts with the first one, and again after it has failed; while it has none, it
 * does not keep the process alive.
 * @param path the thread's main file
 */
export function createRequestThread<Request extends object, Answer>(path: string): RequestThread<Request, Answer> {
  let current: StartedThread<Answer> | undefined;
  let lastId = 0;

  function start(): StartedThread<Answer> {
    const worker = new Worker(path);
    const waiting: StartedThread<Answer>['waiting'] = new Map();
    const started = { worker, waiting };
    const fail = (cause: unknown) => {
      if (current === started) current = undefined;
      const error = refuseForNow(cause);
      for (const { reject } of waiting.values()) reject(error);
      waiting.clear();
    };
    worker.on('message', (message: ThreadAnswer<Answer>) => {
      const request = waiting.get(message.id);
      waiting.delete(message.id);
      if (waiting.size === 0) worker.unref();
      if ('error' in message) request?.reject(refuseFailure(message.error));
      else request?.resolve(message.answer);
    });
    worker.on('error', fail);
    worker.on('exit', (code) => fail(new Error(`the thread that prepares images ended with code ${code}`)));
    return started;
  }

  return {
    ask(request, transfer = []) {
      current ??= start();
      const { worker, waiting } = current;
      const id = ++lastId;
      const message: ThreadRequest<Request> = { ...request, id };
      worker.postMessage(message, transfer);
      worker.ref();
      return new Promise((resolve, reject) => waiting.set(id, { resolve, reject }));
    },
    pending: () => current?.waiting.size ?? 0,
    async close() {
      await current?.worker.terminate();
    },
  };
}
