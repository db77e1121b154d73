import { rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { ModelError } from '../errors.ts';
import { readSample, varySamples } from '../files/sample-images.ts';
import { createStaging } from '../files/staging.ts';
import { largestDifference, largestNumber } from '../largest-difference.ts';
import type { ModelRunner, OnnxSession } from '../model-process/model-runner.ts';
import { buildGraph, convertModel } from '../onnx-writer/convert-model.ts';
import { outputPort } from '../onnx-writer/output-port.ts';
import { calibrate } from '../onnx-writer/quantize/calibrate.ts';
import type { Calibration } from '../onnx-writer/quantize/calibration-file.ts';
import { CALIBRATION_FILE, type PreparedModel, prepareModel } from '../prepared-model.ts';
import type { InputSpec } from '../spec/input-spec.ts';
import { taskOf } from '../spec/output-spec.ts';
import type { ModelSpec } from '../spec/spec.ts';
import { readModelJson } from '../tfjs/manifest.ts';
import { readWeights } from '../tfjs/weights.ts';
import { type CommandContext, listImages, listSamples, requireModel } from './command-context.ts';

/** Below these an int8 version is not worth its loss. */
const WORTHWHILE = { speedup: 1.2, agreement: 0.95 };
/** A few samples do not contain the extremes of all images. */
const SAMPLES_HEADROOM = 1.2;

const OTHER_QUANTIZATION = 'add the one that onnxruntime.quantization makes of it';

/** More images do not change the ranges by much, and take time. */
const MAX_CALIBRATION_IMAGES = 64;

/** How an int8 version compares with the float32 version, on images that calibration has not seen. */
export interface QuantizeReport {
  images: number;
  /** Share of images with the same best label, 0..1; of outputs that may have any number of labels, with the same ones. */
  agreement: number;
  /** The largest change of a probability. */
  largestChange: number;
  /** The largest change of each output without labels, as a share of its largest number. */
  outputChanges: Record<string, number>;
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
  const heads = listHeads(model);
  if (heads.length === 0) {
    const why = 'it has no labels, by which int8 and float32 are compared';
    throw new ModelError('SPEC_INVALID', `${name} cannot be quantized: ${why}`);
  }
  const output = { ...model.spec.output, labelCount: model.labels.length, outputs: model.outputs };
  const modelJson = await readModelJson(model.tfjsPath);
  const weights = await readWeights(modelJson, path.dirname(model.tfjsPath));
  const shape = [input.height, input.width, input.channels] as const;
  const threads = os.availableParallelism();

  const { seen, unseen, headroom } = await splitImages(imagesDir, input, context);
  context.print(`calibrating ${name}`);
  const folder = await createStaging(context.stateDir);
  const write = async (version: string, ranges?: Calibration) => {
    const file = path.join(folder, `${version}.onnx`);
    await writeFile(file, convertModel(modelJson, weights, input, output, ranges).bytes);
    return file;
  };
  let calibration: Calibration;
  let report: QuantizeReport;
  try {
    const options = { threads, headroom, folder, runner: context.runner };
    calibration = await calibrate(buildGraph(modelJson, weights, input, output), shape, seen, options);
    const files = [await write('float32'), await write('int8', calibration)];
    report = await compareVersions(files, model, heads, unseen, { threads, runner: context.runner });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
  printReport(name, report, heads, model.spec, context);
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

/** An output with labels. */
interface Head {
  /** Its name in the ONNX file. */
  port: string;
  /** The labels of an image are those with at least this score; undefined: it has its best label only. */
  threshold: number | undefined;
}

function listHeads({ labels, outputs, spec }: PreparedModel): Head[] {
  const { threshold = 0.5 } = spec.output;
  const isMulti = taskOf(spec.output, labels.length) === 'multi-label' || labels.length === 1;
  const main = { port: 'probabilities', threshold: isMulti ? threshold : undefined };
  const others = outputs.flatMap((output): Head[] => {
    if (output.type !== 'labels') return [];
    const isMulti = output.task === 'multi-label' || output.classCount === 1;
    return [{ port: outputPort(output.name), threshold: isMulti ? (output.threshold ?? 0.5) : undefined }];
  });
  return labels.length > 0 ? [main, ...others] : others;
}

/** Whether both versions give an image the same labels. */
function areSame(exact: Float32Array, rough: Float32Array, { threshold }: Head): boolean {
  if (threshold !== undefined) return exact.every((value, i) => value >= threshold === (rough[i] ?? 0) >= threshold);
  const best = (values: Float32Array) => values.indexOf(values.reduce((a, b) => Math.max(a, b)));
  return best(exact) === best(rough);
}

/** Runs both versions on the same images, interleaved, so that other work on the machine slows both. */
async function compareVersions(
  files: readonly string[],
  { spec: { input }, outputs: declared }: PreparedModel,
  heads: readonly Head[],
  images: AsyncIterable<Uint8Array>,
  { threads, runner }: { threads: number; runner: ModelRunner },
): Promise<QuantizeReport> {
  const { height, width, channels } = input;
  const sessions: OnnxSession[] = [];
  const others = declared.filter(({ type }) => type !== 'labels').map(({ name }) => name);
  const ports = [...heads.map(({ port }) => port), ...others.map(outputPort)];
  const timesMs: number[][] = [[], []];
  let count = 0;
  let same = 0;
  let largestChange = 0;
  const changes = others.map(() => ({ largest: 0, size: Number.MIN_VALUE }));
  try {
    for (const file of files) sessions.push(await runner.openOnnx(file, { threads, input: { width, height } }));
    for await (const pixels of images) {
      const answers: ((port: string) => Float32Array)[] = [];
      for (const [i, session] of sessions.entries()) {
        const image = { type: 'uint8', data: pixels, dims: [1, height, width, channels] };
        const { outputs, inferenceMs } = await session.run({ image }, ports, 1);
        timesMs[i]?.push(inferenceMs);
        answers.push((port) => outputs[port]?.data as Float32Array);
      }
      const [exact, rough] = answers as [(typeof answers)[0], (typeof answers)[0]];
      same += Number(heads.every((head) => areSame(exact(head.port), rough(head.port), head)));
      for (const { port } of heads)
        largestChange = Math.max(largestChange, largestDifference(exact(port), rough(port)));
      for (const [i, change] of changes.entries()) {
        const [before, after] = [exact, rough].map((valuesOf) => valuesOf(outputPort(others[i]!)));
        change.largest = Math.max(change.largest, largestDifference(before!, after!));
        change.size = Math.max(change.size, largestNumber(before!));
      }
      count++;
    }
  } finally {
    for (const session of sessions) await session.release();
  }
  const median = (values: number[] = []) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
  return {
    images: count,
    agreement: count === 0 ? 0 : same / count,
    largestChange,
    outputChanges: Object.fromEntries(changes.map(({ largest, size }, i) => [others[i]!, largest / size])),
    floatMsPerImage: median(timesMs[0]),
    int8MsPerImage: median(timesMs[1]),
  };
}

function printReport(
  name: string,
  report: QuantizeReport,
  heads: readonly Head[],
  spec: ModelSpec,
  { print }: CommandContext,
): void {
  const speedup = report.floatMsPerImage / report.int8MsPerImage;
  const isWorth = speedup >= WORTHWHILE.speedup && report.agreement >= WORTHWHILE.agreement;
  print(`measured on ${report.images} images that were not used for calibration, both versions interleaved:`);
  const isMulti = heads.some(({ threshold }) => threshold !== undefined);
  print(`  ${isMulti ? 'same labels    ' : 'same best label'}     ${(report.agreement * 100).toFixed(1)} %`);
  print(`  largest change      ${report.largestChange.toFixed(3)} of a probability`);
  for (const [output, change] of Object.entries(report.outputChanges))
    print(`                      ${(change * 100).toFixed(1)} % of the largest number of ${output}`);
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
