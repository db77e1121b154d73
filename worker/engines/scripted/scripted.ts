import { setTimeout as delay } from 'node:timers/promises';
import { EngineLoadError, type EngineModel, type LoadedModel } from '../engine.ts';

const BEST_SCORE = 0.9;

/** Scripted answers for tests and measurements; `ScriptedBehavior` in engine.ts documents them. */
export async function loadScripted(model: EngineModel): Promise<LoadedModel> {
  const behavior = model.scripted;
  if (!behavior) throw new EngineLoadError('unsupported', 'the model has no script');
  if (behavior.failToLoad) throw new EngineLoadError('failed', 'the script says that this model cannot be loaded');
  const { classCount } = model;
  const imageBytes = model.input.width * model.input.height * model.input.channels;
  const neverGivenBack: Buffer[] = [];

  return {
    hasHeatmaps: false,
    async run({ images, count }) {
      const probabilities = new Float32Array(count * classCount).fill((1 - BEST_SCORE) / Math.max(1, classCount - 1));
      const waitMs = behavior.waitMs + behavior.waitMsPerImage * count;
      if (waitMs > 0) await delay(waitMs);
      if (behavior.leakBytes > 0) neverGivenBack.push(Buffer.alloc(behavior.leakBytes, 1));
      for (let index = 0; index < count; index++) {
        const at = index * imageBytes;
        const first = images[at]!;
        if (behavior.exitOn.includes(first)) process.exit(70);
        if (behavior.abortOn.includes(first)) process.abort();
        if (behavior.hangOn.includes(first)) for (;;);
        if (behavior.throwOn.includes(first)) throw new Error('the script says that this image is poisonous');
        const best = model.input.channels === 3 ? first + 256 * images[at + 1]! + 65_536 * images[at + 2]! : first;
        probabilities[index * classCount + (best % classCount)] = behavior.nanOn.includes(first)
          ? Number.NaN
          : BEST_SCORE;
      }
      return { probabilities };
    },
  };
}
