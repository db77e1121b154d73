import { toEngineOutput } from '@inferql/worker/engines/declared-outputs';
import type { OutputArray, OutputArrays } from '@inferql/worker/engines/output-arrays';
import { ModelError } from '../errors.ts';
import { readSample } from '../files/sample-images.ts';
import { largestDifference, largestNumber } from '../largest-difference.ts';
import type { PreparedModel } from '../prepared-model.ts';
import { normalizationOf } from '../spec/normalization.ts';
import { type CommandContext, listSamples } from './command-context.ts';
import { openTrial } from './trial.ts';

/** Of probabilities, and of other outputs as a share of their largest number. Rounding in another order gave up to 1e-4 in the deepest models that were tried. */
export const LARGEST_DIFFERENCE = 1e-3;
const SAMPLES = 3;
const RANDOM_IMAGES = 2;

/**
 * Runs a converted tfjs model and tfjs itself on the samples and on random pixels, and prints the largest difference.
 * @throws ModelError SOURCE_INVALID if they do not agree: the converter has misread something
 */
export async function compareWithTfjs(model: PreparedModel, context: CommandContext): Promise<void> {
  const { print } = context;
  const { spec, tfjsPath, onnxPath } = model;
  if (tfjsPath === undefined || onnxPath === undefined || spec.format === 'onnx') return;
  const images = await chooseImages(model, context);
  // One after the other: each holds all the weights.
  const answers = await runConverted(model, images, context);
  const expected = await runReference(model, tfjsPath, images, context).catch((error: Error) => error);
  if (expected instanceof Error) {
    if (expected instanceof ModelError && expected.code === 'CANCELED') throw expected;
    print(`  not compared with tfjs, which cannot run it: ${firstLine(expected)}`);
    return;
  }
  const differences = answers.flatMap((arrays, i) => arrays.map((values, k) => differenceOf(values, expected[i]![k]!)));
  const largest = Math.max(...differences);
  if (largest <= LARGEST_DIFFERENCE) {
    print(`  compared with tfjs on ${images.length} images: the largest difference is ${largest.toExponential(1)}`);
    return;
  }
  throw new ModelError(
    'SOURCE_INVALID',
    `the converted model differs from tfjs by ${largest.toPrecision(2)}, more than ${LARGEST_DIFFERENCE}, ` +
      'so it is not added. Please report this, with the model',
  );
}

/** An image's probabilities, and its outputs in the order of the spec. */
type Arrays = OutputArray[];

async function runConverted(
  model: PreparedModel,
  images: readonly Uint8Array[],
  context: CommandContext,
): Promise<Arrays[]> {
  const trial = await openTrial(model, context);
  try {
    const answers: Arrays[] = [];
    for (const pixels of images) answers.push(listArrays(await trial.run(pixels), model));
    return answers;
  } finally {
    await trial.close();
  }
}

function listArrays(
  { probabilities, outputs = {} }: { probabilities: Float32Array; outputs?: OutputArrays },
  { outputs: declared }: PreparedModel,
): Arrays {
  return [probabilities, ...declared.map(({ name }) => outputs[name] ?? new Float32Array())];
}

function firstLine({ message }: Error): string {
  return message.split('\n')[0] ?? '';
}

function differenceOf(values: OutputArray, expected: OutputArray): number {
  return largestDifference(values, expected) / Math.max(1, largestNumber(expected));
}

async function runReference(
  model: PreparedModel,
  path: string,
  images: readonly Uint8Array[],
  { runner }: CommandContext,
): Promise<Arrays[]> {
  const { spec, classCount } = model;
  const format = spec.format === 'tfjs-graph' ? 'tfjs-graph' : 'tfjs-layers';
  const { activation, name: outputName } = spec.output;
  const tfjs = { path, format, normalization: normalizationOf(spec.input), activation, outputName } as const;
  const outputs = model.outputs.map(toEngineOutput);
  const session = await runner.openEngine({ engine: 'wasm', input: spec.input, classCount, outputs, threads: 1, tfjs });
  try {
    const answers: Arrays[] = [];
    for (const pixels of images) answers.push(listArrays(await session.run(pixels, 1), model));
    return answers;
  } finally {
    await session.close();
  }
}

async function chooseImages({ spec }: PreparedModel, context: CommandContext): Promise<Uint8Array[]> {
  const files = (await listSamples(context)).slice(0, SAMPLES);
  const samples = await Promise.all(files.map((file) => readSample(file, spec.input)));
  const size = spec.input.width * spec.input.height * spec.input.channels;
  let state = 1;
  const random = Array.from({ length: RANDOM_IMAGES }, () =>
    Uint8Array.from({ length: size }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      return state >>> 24;
    }),
  );
  return [...samples, ...random];
}
