/** Models with user code: a module that loads the model and runs batches. */
import { pathToFileURL } from 'node:url';
import type { TensorType } from '@inferql/queue/outputs';
import { EngineLoadError, type EngineModel, type LoadedModel } from '../engine.ts';
import { createArray, type EngineOutputSpec, type OutputArray, type OutputArrays } from '../output-arrays.ts';
import type { ModelModule, ModuleContext, ModuleModel, Rows } from './types.ts';

/**
 * Imports the module and loads its model.
 * @throws EngineLoadError if the module cannot be imported, exports nothing usable, or fails to load
 */
export async function loadModule(model: EngineModel): Promise<LoadedModel> {
  const { input, classCount, threads, module, outputs = [] } = model;
  if (!module) throw new EngineLoadError('unsupported', 'the model has no module');
  const { load, ...declared } = await importModule(module.path);
  const context = {
    input,
    classCount,
    threads,
    labels: module.labels,
    outputs: outputs.map(({ name, dtype, elements }) => ({ name, dtype, elements })),
  };
  checkDeclared(declared, context);
  const loaded = await load(context);
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

async function importModule(path: string): Promise<ModelModule> {
  let exported: unknown;
  try {
    exported = (await import(pathToFileURL(path).href)).default;
  } catch (cause) {
    throw new EngineLoadError('failed', `the engine module cannot be imported: ${(cause as Error).message}`, cause);
  }
  const module = typeof exported === 'function' ? { load: exported } : (exported as Partial<ModelModule> | undefined);
  if (typeof module?.load === 'function') return module as ModelModule;
  throw new EngineLoadError(
    'failed',
    'the engine module must have a default export: a function `load`, or an object with one',
  );
}

interface Size {
  width: number;
  height: number;
  channels?: number | undefined;
}

/**
 * A `model.json5` with an `input` describes the model alone; the code may not contradict it.
 * @throws EngineLoadError that names the field
 */
function checkDeclared({ input, labels, outputs }: Omit<ModelModule, 'load'>, context: ModuleContext): void {
  const sizeOf = ({ width, height, channels = 3 }: Size) => `${width}x${height}x${channels}`;
  const namesOf = (names: readonly string[]) => [...names].sort().join(', ') || 'none';
  const pairs = [
    ['input', input && sizeOf(input), sizeOf(context.input)],
    ['labels', Array.isArray(labels) ? labels.join(', ') : undefined, context.labels.join(', ')],
    ['outputs', outputs && namesOf(Object.keys(outputs)), namesOf(context.outputs.map(({ name }) => name))],
  ] as const;
  for (const [field, declared, served] of pairs) {
    if (declared === undefined || declared === served) continue;
    throw new EngineLoadError(
      'failed',
      `the engine module declares ${field} ${shorten(declared)}, model.json5 says ${shorten(served)}: remove one of them`,
    );
  }
}

function shorten(text: string): string {
  return text.length > 100 ? `${text.slice(0, 100)}…` : text;
}

type Output = Awaited<ReturnType<ModuleModel['run']>>;

/** @throws Error that names what is missing, unknown or of another shape */
function readOutputs(given: Output['outputs'], specs: readonly EngineOutputSpec[], count: number): OutputArrays {
  const unknown = Object.keys(given ?? {}).find((name) => specs.every((spec) => spec.name !== name));
  if (unknown !== undefined)
    throw new Error(`run returned an output ${unknown}, which the specification does not declare`);
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
    throw new Error(`run returned ${given.length} ${what}, expected ${expected}`);
  }
  if (!Array.isArray(given)) throw new Error(`run returned no ${what}, expected ${expected}`);
  const rows = given as ArrayLike<number>[];
  const wrong = rows.findIndex((row) => row?.length !== columns);
  if (rows.length !== count || wrong !== -1) {
    const found =
      rows.length === count ? `${rows[wrong]?.length} ${what} for image ${wrong}` : `${rows.length} rows of ${what}`;
    throw new Error(`run returned ${found}, expected ${expected}`);
  }
  return rows.flatMap((row) => Array.from(row));
}

function isNumbers(given: unknown): given is number[] {
  return Array.isArray(given) && typeof given[0] === 'number';
}

function readExtra(extra: Output['extra'], count: number): { extra?: unknown[] } {
  if (extra === undefined) return {};
  if (!Array.isArray(extra) || extra.length !== count)
    throw new Error(`run returned an \`extra\` that is not a list of ${count}`);
  return { extra };
}
