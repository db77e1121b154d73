import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { EngineBatch, EngineOutput } from '../engine.ts';
import type { SessionThreadAnswer, SessionThreadSettings } from './session-thread-main.ts';

/** Runs a share of a batch, in parallel with others. One share at a time. */
export interface SessionThread {
  /** @throws Error with the engine's message */
  run(share: EngineBatch): Promise<EngineOutput>;
}

/** @throws whatever the thread threw while it loaded the model */
export async function startSessionPool(count: number, settings: SessionThreadSettings): Promise<SessionThread[]> {
  return Promise.all(Array.from({ length: count }, () => startSessionThread(settings)));
}

async function startSessionThread(settings: SessionThreadSettings): Promise<SessionThread> {
  const thread = new Worker(new URL('./session-thread-main.js', import.meta.url), { workerData: settings });
  // `once` rejects if the thread fails instead.
  await once(thread, 'message');
  thread.on('error', (error) => {
    // If a thread ends, end the process: the worker starts it again with all threads.
    throw error;
  });
  return {
    async run({ images, count, wantHeatmaps }) {
      // A copy that is transferred to the thread: the next batch overwrites the original.
      const share: EngineBatch = { images: new Uint8Array(images), count, wantHeatmaps };
      thread.postMessage(share, [share.images.buffer as ArrayBuffer]);
      const [answer] = (await once(thread, 'message')) as [SessionThreadAnswer];
      if ('error' in answer) throw new Error(answer.error);
      return answer.output;
    },
  };
}
