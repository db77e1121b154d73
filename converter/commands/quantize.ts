import { mkdir, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { ModelError } from '../errors.ts';
import { readSample, varySamples } from '../files/sample-images.ts';
import type { ModelRunner, OnnxSession } from '../model-process/model-runner.ts';
import { buildGraph, convertModel } from '../onnx-writer/convert-model.ts';
import { calibrate, MAX_CALIBRATION_IMAGES } from '../onnx-writer/quantize/calibrate.ts';
import type { Calibration } from '../onnx-writer/quantize/calibration-ranges.ts';
import { CALIBRATION_FILE, prepareModel } from '../prepared-model.ts';
import type { InputSpec } from '../spec/input-spec.ts';
import type { ModelSpec } from '../spec/spec.ts';
import { readModelJson } from '../tfjs/manifest.ts';
import { readWeights } from '../tfjs/weights.ts';
import { type CommandContext, listImages, listSamples, requireModel } from './command-context.ts';

/** Below these an int8 version is not worth its loss. */
const WORTHWHILE = { speedup: 1.2, agreement: 0.95 };
/** A few samples do not contain the extremes of all images. */
const SAMPLES_HEADROOM = 1.2;

const OTHER_QUANTIZATION = 'add the one that onnxruntime.quantization makes of it';

/** How an int8 version compares with the float32 version, on images that calibration has not seen. */
export interface QuantizeReport {
  images: number;
  /** Share of images whose best label is the same, 0..1. */
  agreement: number;
  /** The largest change of a probability. */
  largestChange: number;
  floatMsPerImage: number;
  int8MsPerImage: number;
}

/** An int8 version that agrees on less than this share of the images is refused, unless another bound is given. */
export const MIN_AGREEMENT = 0.9;

/**
 * Calibrates a model, measures the int8 version against the float32 one, and writes `calibration.json` next to its spec.
 * @param imagesDir images, half of them for calibration; absent: crops of the repository's samples
 * @param minAgreement the share of images, 0..1, that must have the same best label
 * @throws ModelError SPEC_INVALID if fewer have; nothing is written then
 */
export async function quantizeModel(
  name: string,
  imagesDir: string | undefined,
  context: CommandContext,
  minAgreement = MIN_AGREEMENT,
): Promise<QuantizeReport> {
  const modelDir = await requireModel(context.modelsDir, name);
  const model = await prepareModel({ modelDir: modelDir, stateDir: context.stateDir, signal: context.signal });
  if (model.tfjsPath === undefined) {
    const why = model.modulePath === undefined ? `it is an ONNX file (${OTHER_QUANTIZATION})` : 'it is code';
    throw new ModelError('SPEC_INVALID', `${name} cannot be quantized: ${why}; a tfjs model can`);
  }
  const { input } = model.spec;
  const output = { ...model.spec.output, labelCount: model.labels.length };
  const modelJson = await readModelJson(model.tfjsPath);
  const weights = await readWeights(modelJson, path.dirname(model.tfjsPath));
  const shape = [input.height, input.width, input.channels] as const;
  const threads = os.availableParallelism();

  const { seen, unseen, headroom } = await splitImages(imagesDir, input, context);
  context.print(`calibrating ${name}`);
  const folder = path.join(context.stateDir, `quantizing-${process.pid}`);
  const write = async (version: string, ranges?: Calibration) => {
    const file = path.join(folder, `${version}.onnx`);
    await writeFile(file, convertModel(modelJson, weights, input, output, ranges).bytes);
    return file;
  };
  let calibration: Calibration;
  let report: QuantizeReport;
  try {
    await mkdir(folder, { recursive: true });
    const options = { threads, headroom, folder, runner: context.runner };
    calibration = await calibrate(buildGraph(modelJson, weights, input, output), shape, seen, options);
    const files = [await write('float32'), await write('int8', calibration)];
    report = await compareVersions(files, shape, unseen, threads, context.runner);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  printReport(name, report, model.spec, context);
  const file = path.join(modelDir, CALIBRATION_FILE);
  if (report.agreement < minAgreement) {
    const [agreement, bound] = [report.agreement, minAgreement].map((share) => `${(share * 100).toFixed(1)} %`);
    throw new ModelError(
      'SPEC_INVALID',
      `refused: int8 and float32 agree on ${agreement} of ${report.images} images, less than ${bound} (--min-agreement); ${file} is not written. More images of the model's own kind may help: --images`,
    );
  }
  await writeFile(file, formatCalibration(calibration));
  context.print(`wrote ${file} from ${calibration.images} images`);
  return report;
}

async function splitImages(imagesDir: string | undefined, input: InputSpec, context: CommandContext) {
  if (imagesDir === undefined) {
    const samples = await listSamples(context);
    if (samples.length === 0) {
      const folders = [path.join(context.modelsDir, 'samples'), context.samplesDir].filter((it) => it !== undefined);
      throw new ModelError('SOURCE_INVALID', `no images in ${folders.join(' and ')} to calibrate on: pass --images`);
    }
    context.print(`no --images: calibrating on views of ${samples.length} samples, measuring on other views of them`);
    return { seen: varySamples(samples, input, 1), unseen: varySamples(samples, input, 2), headroom: SAMPLES_HEADROOM };
  }
  const files = await listImages(imagesDir);
  if (files.length < 2)
    throw new ModelError('SOURCE_INVALID', `${imagesDir} holds ${files.length} images, at least 2 are needed`);
  const seen = files.filter((_, i) => i % 2 === 0).slice(0, MAX_CALIBRATION_IMAGES);
  const unseen = files.filter((file) => !seen.includes(file));
  return { seen: readAll(seen, input), unseen: readAll(unseen, input), headroom: 1 };
}

async function* readAll(files: readonly string[], input: InputSpec): AsyncGenerator<Uint8Array> {
  for (const file of files) yield await readSample(file, input);
}

/** Runs both versions on the same images, interleaved, so that other work on the machine slows both. */
async function compareVersions(
  files: readonly string[],
  shape: readonly [number, number, number],
  images: AsyncIterable<Uint8Array>,
  threads: number,
  runner: ModelRunner,
): Promise<QuantizeReport> {
  const [height, width] = shape;
  const sessions: OnnxSession[] = [];
  for (const file of files) sessions.push(await runner.openOnnx(file, { threads, input: { width, height } }));
  const timesMs: number[][] = [[], []];
  let count = 0;
  let same = 0;
  let largestChange = 0;
  for await (const pixels of images) {
    const answers: Float32Array[] = [];
    for (const [i, session] of sessions.entries()) {
      const image = { type: 'uint8', data: pixels, dims: [1, ...shape] };
      const { outputs, inferenceMs } = await session.run({ image }, ['probabilities'], 1);
      timesMs[i]?.push(inferenceMs);
      answers.push(outputs.probabilities?.data as Float32Array);
    }
    const [exact, rough] = answers as [Float32Array, Float32Array];
    const first = (values: Float32Array) => values.indexOf(Math.max(...values));
    same += Number(first(exact) === first(rough));
    largestChange = Math.max(largestChange, ...exact.map((value, i) => Math.abs(value - (rough[i] ?? 0))));
    count++;
  }
  for (const session of sessions) await session.release();
  const median = (values: number[] = []) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
  return {
    images: count,
    agreement: count === 0 ? 0 : same / count,
    largestChange,
    floatMsPerImage: median(timesMs[0]),
    int8MsPerImage: median(timesMs[1]),
  };
}

function printReport(name: string, report: QuantizeReport, spec: ModelSpec, { print }: CommandContext): void {
  const speedup = report.floatMsPerImage / report.int8MsPerImage;
  const isWorth = speedup >= WORTHWHILE.speedup && report.agreement >= WORTHWHILE.agreement;
  print(`measured on ${report.images} images that were not used for calibration, both versions interleaved:`);
  print(`  same best label     ${(report.agreement * 100).toFixed(1)} %`);
  print(`  largest change      ${report.largestChange.toFixed(3)} of a probability`);
  print(`  float32             ${report.floatMsPerImage.toFixed(1)} ms per image`);
  print(`  int8                ${report.int8MsPerImage.toFixed(1)} ms per image, ${speedup.toFixed(2)} times as fast`);
  if (!isWorth) print('not worth it: keep float32');
  else if (spec.precision === 'int8') print(`worth it, and ${name} is served in int8 already`);
  else print(`worth it: set precision: 'int8' in the spec of ${name} to serve it; float32 stays the default`);
}

function formatCalibration({ images, graph, ranges }: Calibration): string {
  const lines = Object.entries(ranges).map(([name, range]) => `    ${JSON.stringify(name)}: ${JSON.stringify(range)}`);
  return `{\n  "images": ${images},\n  "graph": ${JSON.stringify(graph)},\n  "ranges": {\n${lines.join(',\n')}\n  }\n}\n`;
}
