import { pathToFileURL } from 'node:url';
import { EngineLoadError, type EngineOutput, type LoadedModel } from '../engine.ts';
import type { Postprocess } from './types.ts';

/**
 * Lets a model's `postprocess.js` change each image's output. An error that it throws fails only that image: its probabilities become NaN,
 * which the worker reports as MODEL_FAILED.
 * @throws EngineLoadError if the module cannot be imported or has no default function
 */
export async function withPostprocess(
  loaded: LoadedModel,
  { path, labels }: { path: string; labels: readonly string[] },
): Promise<LoadedModel> {
  const postprocess = await importPostprocess(path);
  return {
    hasHeatmaps: loaded.hasHeatmaps,
    async run(batch) {
      const output = await loaded.run(batch);
      return { ...output, ...changeRows(postprocess, output, batch.count, labels) };
    },
  };
}

function changeRows(postprocess: Postprocess, output: EngineOutput, count: number, labels: readonly string[]) {
  const probabilities = Float32Array.from(output.probabilities);
  const extra = Array.from({ length: count }, (_, index) => output.extra?.[index]);
  for (let index = 0; index < count; index++) {
    const row = probabilities.subarray(index * labels.length, (index + 1) * labels.length);
    try {
      const changes = postprocess({ probabilities: row.slice(), extra: extra[index] }, { labels });
      if (changes?.probabilities) row.set(checkRow(changes.probabilities, labels.length));
      if (changes && 'extra' in changes) extra[index] = changes.extra;
    } catch (error) {
      console.error(`postprocess failed: ${error instanceof Error ? error.message : String(error)}`);
      row.fill(Number.NaN);
    }
  }
  return { probabilities, ...(extra.some((value) => value !== undefined) && { extra }) };
}

function checkRow(row: ArrayLike<number>, length: number): ArrayLike<number> {
  if (row.length !== length) throw new Error(`postprocess gave ${row.length} probabilities, expected ${length}`);
  return row;
}

async function importPostprocess(path: string): Promise<Postprocess> {
  let exported: unknown;
  try {
    exported = (await import(pathToFileURL(path).href)).default;
  } catch (cause) {
    throw new EngineLoadError(
      'failed',
      `the module for postprocessing cannot be imported: ${(cause as Error).message}`,
      cause,
    );
  }
  if (typeof exported === 'function') return exported as Postprocess;
  throw new EngineLoadError('failed', 'the module for postprocessing must have a function as its default export');
}
