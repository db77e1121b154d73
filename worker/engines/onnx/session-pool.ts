import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import type { EngineBatch, EngineOutput } from '../engine.ts';
import type { LaneAnswer, LaneSettings } from './session-thread.ts';

/** Runs a share of a batch, beside the others. One share at a time. */
export interface Lane {
  /** @throws Error with the engine's words */
  run(share: EngineBatch): Promise<EngineOutput>;
}

/** @throws what the thread threw while it loaded the model */
export async function startLanes(count: number, settings: LaneSettings): Promise<Lane[]> {
  return Promise.all(Array.from({ length: count }, () => startLane(settings)));
}

async function startLane(settings: LaneSettings): Promise<Lane> {
  const thread = new Worker(new URL('./session-thread.js', import.meta.url), { workerData: settings });
  // `once` rejects where the thread fails instead.
  await once(thread, 'message');
  thread.on('error', (error) => {
    // A thread that ended takes the process with it: the worker starts it again, whole.
    throw error;
  });
  return {
    async run({ images, count, wantHeatmaps }) {
      // A copy that the thread may have for itself: the next batch overwrites the original.
      const share: EngineBatch = { images: new Uint8Array(images), count, wantHeatmaps };
      thread.postMessage(share, [share.images.buffer as ArrayBuffer]);
      const [answer] = (await once(thread, 'message')) as [LaneAnswer];
      if ('error' in answer) throw new Error(answer.error);
      return answer.output;
    },
  };
}
