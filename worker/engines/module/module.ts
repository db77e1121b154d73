/** Models with user code: a module that loads the model and runs batches. */
import { pathToFileURL } from 'node:url';
import type { TensorType } from '@inferql/queue/outputs';
import { EngineLoadError, type EngineModel, type LoadedModel } from '../engine.ts';
import { createArray, type EngineOutputSpec, type OutputArray, type OutputArrays } from '../output-arrays.ts';
import type { ModelModule, ModuleModel, Rows } from './types.ts';

/**
 * Imports the module and loads its model.
 * @throws EngineLoadError if the module cannot be imported, exports nothing usable, or fails to load
 */
export async function loadModule(model: EngineModel): Promise<LoadedModel> {
  const { input, classCount, threads, module, outputs = [] } = model;
  if (!module) throw new EngineLoadError('unsupported', 'the model has no module');
  const load = await importLoad(module.path);
  const loaded = await load({
    input,
    classCount,
    threads,
    labels: module.labels,
    outputs: outputs.map(({ name, dtype, elements }) => ({ name, dtype, elements })),
  });
  if (typeof loaded?.run !== 'function') {
    throw new EngineLoadError('failed', 'the engine module must return an object with a function `run` from `load`');
  }
  return {
    hasHeatmaps: false,
    async run({ images, count }) {
      const output = await loaded.run({ images, count });
      const rows = classCount === 0 ? new Float32Array(0) : output?.probabilities;
      return {
        probabilities: Float32Array.from(readRows(rows, { count, columns: classCount, what: 'probabilities' })),
        outputs: readOutputs(output?.outputs, outputs, count),
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

/** @throws Error that names what is missing, unknown or of another shape */
function readOutputs(given: Output['outputs'], specs: readonly EngineOutputSpec[], count: number): OutputArrays {
  const unknown = Object.keys(given ?? {}).find((name) => specs.every((spec) => spec.name !== name));
  if (unknown !== undefined) throw new Error(`run gave an output ${unknown}, which the specification does not declare`);
  return Object.fromEntries(
    specs.map(({ name, dtype, elements }) => {
      const values = readRows(given?.[name], { count, columns: elements, what: `numbers of output ${name}` });
      return [name, toArray(dtype, values)];
    }),
  );
}

function toArray(dtype: TensorType, values: ArrayLike<number>): OutputArray {
  const array = createArray(dtype, values.length);
  array.set(values);
  return array;
}

interface Expected {
  count: number;
  /** Numbers per image. */
  columns: number;
  what: string;
}

/** @throws Error that says what was returned and what was expected */
function readRows(given: Rows | undefined, { count, columns, what }: Expected): ArrayLike<number> {
  const expected = `${count} x ${columns} numbers for ${count} images`;
  if (ArrayBuffer.isView(given) || isNumbers(given)) {
    if (given.length === count * columns) return given as ArrayLike<number>;
    throw new Error(`run gave ${given.length} ${what}, expected ${expected}`);
  }
  if (!Array.isArray(given)) throw new Error(`run gave no ${what}, expected ${expected}`);
  const rows = given as ArrayLike<number>[];
  const wrong = rows.findIndex((row) => row?.length !== columns);
  if (rows.length !== count || wrong !== -1) {
    const found =
      rows.length === count ? `${rows[wrong]?.length} ${what} for image ${wrong}` : `${rows.length} rows of ${what}`;
    throw new Error(`run gave ${found}, expected ${expected}`);
  }
  return rows.flatMap((row) => Array.from(row));
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
