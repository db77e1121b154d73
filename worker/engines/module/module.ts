/** Models with user code: a module that loads the model and runs batches. */
import { pathToFileURL } from 'node:url';
import { EngineLoadError, type EngineModel, type LoadedModel } from '../engine.ts';
import type { ModelModule, ModuleModel } from './types.ts';

/**
 * Imports the module and loads its model.
 * @throws EngineLoadError if the module cannot be imported, exports nothing usable, or fails to load
 */
export async function loadModule(model: EngineModel): Promise<LoadedModel> {
  const { input, classCount, threads, module } = model;
  if (!module) throw new EngineLoadError('unsupported', 'the model has no module');
  const load = await importLoad(module.path);
  const loaded = await load({ input, classCount, threads, labels: module.labels });
  if (typeof loaded?.run !== 'function') {
    throw new EngineLoadError('failed', 'the engine module must return an object with a function `run` from `load`');
  }
  return {
    hasHeatmaps: false,
    async run({ images, count }) {
      const output = await loaded.run({ images, count });
      return {
        probabilities: readProbabilities(output?.probabilities, count, classCount),
        ...readExtra(output?.extra, count),
      };
    },
  };
}

async function importLoad(path: string): Promise<ModelModule['load']> {
  let exported: unknown;
  try {
    exported = (await import(pathToFileURL(path).href)).default;
  } catch (cause) {
    throw new EngineLoadError('failed', `the engine module cannot be imported: ${(cause as Error).message}`, cause);
  }
  const load = typeof exported === 'function' ? exported : (exported as Partial<ModelModule> | undefined)?.load;
  if (typeof load === 'function') return load as ModelModule['load'];
  throw new EngineLoadError(
    'failed',
    'the engine module must have a default export: a function `load`, or an object with one',
  );
}

type Output = Awaited<ReturnType<ModuleModel['run']>>;

/** @throws Error that says what was returned and what was expected */
function readProbabilities(
  given: Output['probabilities'] | undefined,
  count: number,
  classCount: number,
): Float32Array {
  const expected = `${count} x ${classCount} numbers for ${count} images`;
  if (given instanceof Float32Array || isNumbers(given)) {
    if (given.length === count * classCount) return Float32Array.from(given);
    throw new Error(`run gave ${given.length} probabilities, expected ${expected}`);
  }
  if (!Array.isArray(given)) throw new Error(`run gave no probabilities, expected ${expected}`);
  const rows = given as ArrayLike<number>[];
  const wrong = rows.findIndex((row) => row?.length !== classCount);
  if (rows.length !== count || wrong !== -1) {
    const what =
      rows.length === count ? `${rows[wrong]?.length} probabilities for image ${wrong}` : `${rows.length} rows`;
    throw new Error(`run gave ${what}, expected ${expected}`);
  }
  const values = new Float32Array(count * classCount);
  for (const [index, row] of rows.entries()) values.set(Array.from(row), index * classCount);
  return values;
}

function isNumbers(given: unknown): given is number[] {
  return Array.isArray(given) && typeof given[0] === 'number';
}

function readExtra(extra: Output['extra'], count: number): { extra?: unknown[] } {
  if (extra === undefined) return {};
  if (!Array.isArray(extra) || extra.length !== count)
    throw new Error(`run gave an \`extra\` that is not a list of ${count}`);
  return { extra };
}
