import { mkdir, rm } from 'node:fs/promises';
import path from 'node:path';
import { wayWithoutLabels, whyNotScores } from '../answer-shape.ts';
import { ModelError } from '../errors.ts';
import { readSample } from '../files/sample-images.ts';
import type { ModelRunner, OnnxSession } from '../model-process/model-runner.ts';
import { EXPORT_AS_FLOAT32 } from '../onnx-reader/inputs-and-outputs.ts';
import { writeWrapped } from '../onnx-writer/wrap/write-wrapped.ts';
import type { ModelSpec } from '../spec/spec.ts';

/** What an ONNX file answers when it is run, before any activation is put behind it. */
export interface Probe {
  classCount: number;
  /** A row of scores per image. */
  rows: Float32Array[];
}

/** The file's own output, as it is before the wrapper makes a row per image of it. */
const RAW_OUTPUT = 'raw';

/**
 * Runs an ONNX file on a few images, to find out what the file does not state.
 * @param scratch a folder that may be written to
 * @throws ModelError SOURCE_INVALID if it does not run, or does not give a score per class; what the runner throws
 */
export async function probeOnnx(
  file: string,
  spec: ModelSpec,
  { images, scratch, runner }: { images: string[]; scratch: string; runner: ModelRunner },
): Promise<Probe> {
  const folder = path.join(scratch, 'probe');
  await mkdir(folder, { recursive: true });
  try {
    // Answers as they come.
    const asIs = { ...spec, output: { ...spec.output, activation: 'softmax' as const } };
    await writeWrapped(file, asIs, { rawOutput: RAW_OUTPUT }, folder);
    const samples = await pixelsOf(images, spec);
    const session = await runner.openOnnx(path.join(folder, 'model.onnx'), { input: spec.input }).catch(refuseRun);
    try {
      const rows: Float32Array[] = [];
      for (const pixels of samples) {
        const answer = runBatch(session, [pixels], spec, ['probabilities', RAW_OUTPUT]);
        const { values, dims, batch } = await answer.catch(refuseRun);
        checkDims(spec.output.name ?? 'output', dims.get(RAW_OUTPUT) ?? [], batch);
        rows.push((values.get('probabilities')?.[0] ?? new Float32Array()) as Float32Array);
      }
      checkLengths(rows);
      return { classCount: rows[0]?.length ?? 0, rows };
    } finally {
      await session.release();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function refuseRun(cause: Error): never {
  if (cause instanceof ModelError) throw cause;
  throw new ModelError('SOURCE_INVALID', `onnxruntime does not run it: ${explain(cause.message)}`, { cause });
}

/** Adds what to do to those of onnxruntime's messages whose cause is in the export. */
function explain(message: string): string {
  const [, missing, opset] = /No Op registered for (\w+) with domain_version of (\d+)/.exec(message) ?? [];
  if (missing !== undefined) {
    return (
      `opset ${opset} of ONNX has no operator ${missing}: export it again with opset 17 or later, or, ` +
      'if ONNX has none of that name and its exporter left it as it was, build the model without it'
    );
  }
  // An operator exists for some types only.
  return message.includes('Could not find an implementation for') ? `${message}: ${EXPORT_AS_FLOAT32}` : message;
}

/** A file may leave the sizes of its output open; its values have definite ones. */
function checkDims(name: string, dims: readonly number[], batch: number): void {
  const [first, ...inner] = dims;
  const sizes = first === batch ? inner : dims;
  const why = whyNotScores(sizes, dims.join(' x '));
  if (why === undefined) return;
  const way = wayWithoutLabels([{ name, sizes, isMeasured: true }]);
  throw new ModelError('SOURCE_INVALID', `for ${batch === 1 ? 'an image' : `${batch} images`}, it ${why}; ${way}`);
}

function checkLengths(rows: readonly Float32Array[]): void {
  const lengths = new Set(rows.map((row) => row.length));
  if (lengths.size <= 1) return;
  throw new ModelError(
    'SOURCE_INVALID',
    `it returns another number of values for each image (${[...lengths].join(', ')}), as a detector of objects does: only models that classify images are served`,
  );
}

/** Samples, or without any an image of noise. */
async function pixelsOf(images: string[], { input }: ModelSpec): Promise<Uint8Array[]> {
  if (images.length > 0) return Promise.all(images.map((image) => readSample(image, input)));
  const { width, height, channels } = input;
  return [Uint8Array.from({ length: width * height * channels }, (_, i) => (i * 7919) % 256)];
}

interface BatchAnswer {
  /** By output, a row of values for each image that was given. */
  values: Map<string, (Float32Array | Int32Array | Uint8Array)[]>;
  dims: Map<string, readonly number[]>;
  /** How many images the run had: more than were given if the file takes more at once. */
  batch: number;
}

/** Runs images at once through a model that `wrapOnnxFile` wrote. The images that a fixed batch has too many are black. */
export async function runBatch(
  session: OnnxSession,
  images: readonly Uint8Array[],
  { input }: Pick<ModelSpec, 'input'>,
  fetches: readonly string[],
): Promise<BatchAnswer> {
  const size = session.inputs[0]?.shape[0];
  const batch = typeof size === 'number' && size > 0 ? size : images.length;
  const length = images[0]?.length ?? 0;
  const pixels = new Uint8Array(batch * length);
  for (const [i, image] of images.slice(0, batch).entries()) pixels.set(image, i * length);
  const image = { type: 'uint8', data: pixels, dims: [batch, input.height, input.width, input.channels] };
  const { outputs } = await session.run({ image }, fetches, batch);
  const answer: BatchAnswer = { values: new Map(), dims: new Map(), batch };
  for (const [name, tensor] of Object.entries(outputs)) {
    const data = tensor.data as Float32Array;
    const each = data.length / batch;
    answer.dims.set(name, tensor.dims);
    answer.values.set(
      name,
      images.map((_, i) => data.slice(i * each, (i + 1) * each)),
    );
  }
  return answer;
}

/** Runs one image through a model that `wrapOnnxFile` wrote, even if it takes more at once. Without labels there are no numbers. */
export async function runOne(
  session: OnnxSession,
  pixels: Uint8Array,
  spec: Pick<ModelSpec, 'input'>,
): Promise<Float32Array> {
  const hasLabels = session.outputNames.includes('probabilities');
  const { values } = await runBatch(session, [pixels], spec, hasLabels ? ['probabilities'] : session.outputNames);
  return (values.get('probabilities')?.[0] as Float32Array | undefined) ?? new Float32Array();
}

const TOLERANCE = 1e-3;

/** The activation that rows of numbers suggest; undefined if there are several candidates. */
export function activationOfRows(rows: readonly Float32Array[]): 'softmax' | 'sigmoid' | 'logits' | undefined {
  const values = rows.flatMap((row) => [...row]);
  if (values.some((value) => value < -TOLERANCE || value > 1 + TOLERANCE)) return 'logits';
  const isOne = (row: Float32Array) => Math.abs(row.reduce((a, b) => a + b, 0) - 1) < TOLERANCE * 5;
  if (rows.every((row) => row.length > 1 && isOne(row))) return 'softmax';
  return undefined;
}

/** The sum that probabilities have if they were multiplied, such as 100 for percentages; undefined if they sum to 1, or are none. */
export function scaledSumOf(rows: readonly Float32Array[]): number | undefined {
  const sums = rows.map((row) => row.reduce((a, b) => a + b, 0));
  const [first = 0] = sums;
  const isSame = sums.every((sum) => Math.abs(sum - first) < first * TOLERANCE);
  const isScaled = rows.length > 1 && isSame && Math.abs(first - 1) > TOLERANCE * 5;
  return isScaled && rows.every((row) => row.length > 1 && row.every((value) => value >= 0)) ? first : undefined;
}

/** Whether rows are vectors of length 1, as metric learning gives them, and not scores. */
export function areUnitVectors(rows: readonly Float32Array[]): boolean {
  return rows.every((row) => {
    const length = Math.sqrt(row.reduce((sum, value) => sum + value * value, 0));
    return row.length > 1 && Math.abs(length - 1) < TOLERANCE && row.some((value) => value < -TOLERANCE);
  });
}
