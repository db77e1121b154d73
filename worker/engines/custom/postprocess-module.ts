import { pathToFileURL } from 'node:url';
import { EngineLoadError, type EngineModel, type EngineOutput, type LoadedModel } from '../engine.ts';
import { joinOutputArrays, type OutputArray, type OutputArrays } from '../output-arrays.ts';
import { topKIndexes } from '../top-k.ts';
import { callWithin } from './time-budget.ts';
import type { Postprocess, RowChanges } from './types.ts';

/**
 * Lets a model's `postprocess.js` change each image's output. If it throws, returns something else than expected, or takes too long, that
 * image alone fails.
 * @throws EngineLoadError if the module cannot be imported or has no default function
 */
export async function withPostprocess(
  loaded: LoadedModel,
  { outputs: specs = [], ...model }: Pick<EngineModel, 'outputs' | 'classCount'>,
  { path, labels, timeLimitMs }: NonNullable<EngineModel['postprocess']>,
): Promise<LoadedModel> {
  const postprocess = await importPostprocess(path);
  const names = specs.map(({ name }) => name);

  /** Writes the changes of one image into the batch. @throws Error that says what was returned and what was expected */
  function changeRow(output: ChangingOutput, index: number): void {
    const rowOf = <Values extends OutputArray>(values: Values, length: number) =>
      values.subarray(index * length, (index + 1) * length) as Values;
    const probabilities = rowOf(output.probabilities, model.classCount);
    const outputs = Object.fromEntries(
      specs.map(({ name, elements }) => [name, rowOf(output.outputs[name]!, elements)]),
    );
    const copies = Object.fromEntries(names.map((name) => [name, outputs[name]!.slice()]));
    const given = { probabilities: probabilities.slice(), outputs: copies, extra: output.extra[index] };
    const changes = checkChanges(
      callWithin(timeLimitMs, () => postprocess(given, { labels })),
      names,
    );
    const rows = [[probabilities, changes.probabilities, 'probabilities'] as const].concat(
      names.map((name) => [outputs[name]!, changes.outputs?.[name], `values of output ${name}`] as never),
    );
    // All are checked before one is written.
    for (const [row, values, what] of rows) checkLength(values, row.length, what);
    for (const [row, values] of rows) if (values) row.set(values);
    if ('extra' in changes) output.extra[index] = changes.extra;
  }

  return {
    hasHeatmaps: loaded.hasHeatmaps,
    async run(batch) {
      const output = await loaded.run(batch);
      const changing: ChangingOutput = {
        probabilities: Float32Array.from(output.probabilities),
        outputs: joinOutputArrays(specs, [output.outputs], batch.count),
        extra: Array.from({ length: batch.count }, (_, index) => output.extra?.[index]),
      };
      const failures = [...(output.failures ?? [])];
      const maps = output.maps && { ...output.maps, classes: listMapped(output, model.classCount, batch.count) };
      for (let index = 0; index < batch.count; index++) {
        try {
          changeRow(changing, index);
        } catch (error) {
          failures[index] = `postprocess failed: ${error instanceof Error ? error.message : String(error)}`;
        }
      }
      return { ...output, ...changing, ...(maps && { maps }), failures };
    },
  };
}

/** The classes of each image's maps, which the engine chose by the scores that it gave. */
function listMapped({ probabilities, maps }: EngineOutput, classCount: number, count: number): number[][] {
  return Array.from({ length: count }, (_, index) =>
    topKIndexes(probabilities.subarray(index * classCount, (index + 1) * classCount), maps!.labels),
  );
}

interface ChangingOutput extends Pick<EngineOutput, 'probabilities'> {
  outputs: OutputArrays;
  extra: unknown[];
}

function checkChanges(changes: unknown, names: readonly string[]): RowChanges {
  if (changes === undefined || changes === null) return {};
  if (typeof changes !== 'object') throw new Error(`it returned a ${typeof changes}, expected an object or nothing`);
  if (changes instanceof Promise) throw new Error('it returned a promise, expected an object or nothing');
  const { outputs } = changes as RowChanges;
  if (outputs !== undefined && (typeof outputs !== 'object' || outputs === null)) {
    throw new Error('it returned `outputs` that are not an object');
  }
  const unknown = Object.keys(outputs ?? {}).find((name) => !names.includes(name));
  if (unknown === undefined) return changes;
  throw new Error(`it returned an output ${unknown}, expected ${names.join(', ') || 'none'}`);
}

function checkLength(values: unknown, length: number, what: string): void {
  if (values === undefined) return;
  const isList = Array.isArray(values) || (ArrayBuffer.isView(values) && !(values instanceof DataView));
  if (!isList) throw new Error(`it returned ${what} that are not a list, expected ${length} numbers`);
  const found = (values as ArrayLike<number>).length;
  if (found !== length) throw new Error(`it returned ${found} ${what}, expected ${length}`);
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
