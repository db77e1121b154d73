import type { SupervisedEngine } from '../engines/process/supervised-engine.ts';
import type { CoreScheduler } from './core-scheduler.ts';
import type { ServableModel } from './servable-model.ts';

/** The first runs of each batch size allocate memory and tune; no caller should wait for that. */
export async function warmUp(
  engine: SupervisedEngine,
  { input, batching }: ServableModel,
  scheduler: CoreScheduler,
): Promise<void> {
  const gray = new Uint8Array(input.width * input.height * input.channels).fill(128);
  for (const count of new Set([1, batching.maxBatchSize])) {
    const endRun = await scheduler.take('warm-up');
    try {
      const images = Array.from({ length: count }, () => gray);
      await engine.run(images, engine.hasHeatmaps);
    } finally {
      endRun();
    }
  }
}
