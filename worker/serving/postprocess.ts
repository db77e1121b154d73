/** Turns an engine's answer into a prediction's result. Pure. */
import { type Label, type Result, STORED_LABELS } from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/error-codes';
import { elementsOf, MAX_RESULT_LENGTH, type ModelOutput, type StoredOutput } from '@inferql/queue/outputs';
import type { EngineOutput } from '../engines/engine.ts';
import type { OutputArray } from '../engines/output-arrays.ts';
import { topKIndexes } from '../engines/top-k.ts';
import { toHeatmaps } from './heatmap-values.ts';

/** Float32 has seven digits; more would only lengthen every event. */
const SCORE_DIGITS = 7;

/** How to read a model's answers. */
export interface AnswerSpec {
  labels: readonly string[];
  threshold?: number | undefined;
  outputs?: readonly ModelOutput[] | undefined;
  /** The class names of each head of `outputs`. */
  headLabels?: Readonly<Record<string, readonly string[]>>;
}

/**
 * The result of the image at `index` of a batch: its best labels by descending score (the lower index first if equal), a heatmap for
 * each of the first STORED_LABELS if requested and the engine returned maps, and what else the model declares.
 * @param labelCount how many labels to keep
 * @throws InferqlError MODEL_FAILED if the engine says so, a score is not a finite number, or the result is longer than MAX_RESULT_LENGTH
 */
export function readResult(
  output: EngineOutput,
  index: number,
  { labels, threshold, outputs = [], headLabels = {} }: AnswerSpec,
  wantsHeatmap = false,
  labelCount = STORED_LABELS,
): Result {
  const failure = output.failures?.[index];
  if (failure !== undefined) throw failed(failure);
  const best = readLabels(output.probabilities, index, labels, labelCount);
  const extra = output.extra?.[index];
  const further = outputs.map((declared) => {
    const values = output.outputs?.[declared.name];
    if (!values) throw failed(`output ${declared.name} is missing`);
    return readOutput(declared, values, index, { labels: headLabels[declared.name] ?? [], labelCount });
  });
  const result: Result = {
    labels: best,
    ...(threshold === undefined ? {} : { threshold }),
    ...(extra === undefined ? {} : { extra }),
    ...(further.length === 0 ? {} : { outputs: further }),
    ...(wantsHeatmap && output.maps ? { heatmaps: toHeatmaps(output.maps, index, best) } : {}),
  };
  if (further.length > 0 || extra !== undefined) checkLength(result);
  return result;
}

function failed(message: string): InferqlError {
  return new InferqlError('MODEL_FAILED', { cause: new Error(message) });
}

/** Only outputs and `extra` can make a result long. */
function checkLength(result: Result): void {
  const { length } = JSON.stringify(result);
  if (length > MAX_RESULT_LENGTH)
    throw failed(`the result has ${length} characters of JSON, more than ${MAX_RESULT_LENGTH}`);
}

function readLabels(scores: OutputArray, index: number, labels: readonly string[], count: number): Label[] {
  const row = scores.subarray(index * labels.length, (index + 1) * labels.length);
  if (row.length !== labels.length) throw failed('too few values');
  if (!row.every(Number.isFinite)) throw failed('a value is not a number');
  return topKIndexes(row, count).map(
    (at): Label => ({ index: at, name: labels[at]!, score: Number(row[at]!.toPrecision(SCORE_DIGITS)) }),
  );
}

function readOutput(
  declared: ModelOutput,
  values: OutputArray,
  index: number,
  { labels, labelCount }: { labels: readonly string[]; labelCount: number },
): StoredOutput {
  const { name } = declared;
  const elements = elementsOf(declared);
  const row = values.subarray(index * elements, (index + 1) * elements);
  switch (declared.type) {
    case 'labels': {
      const { type, task, threshold } = declared;
      const bounds = threshold === undefined ? {} : { threshold };
      return { type, name, task, ...bounds, labels: readLabels(values, index, labels, labelCount) };
    }
    case 'embedding':
      if (!row.every(Number.isFinite)) throw failed(`a value of ${name} is not a number`);
      return { type: declared.type, name, size: declared.size, data: toBase64(row) };
    case 'tensor':
      return { type: declared.type, name, dtype: declared.dtype, shape: declared.shape, data: toBase64(row) };
    default:
      return declared satisfies never;
  }
}

/** Little-endian, as every machine that Node runs on. */
function toBase64({ buffer, byteOffset, byteLength }: OutputArray): string {
  return Buffer.from(buffer, byteOffset, byteLength).toString('base64');
}
