import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { type Convert, convertHere } from './conversion-process/conversion.ts';
import { ModelError } from './errors.ts';
import { isIntact } from './files/folder-digests.ts';
import { keepFolder, stageFolder, sweepOldFolders } from './files/staging.ts';
import { readTextFile } from './files/text-file.ts';
import type { Calibration } from './onnx-writer/quantize/calibration-file.ts';
import { CONVERTER_VERSION, WRAPPER_VERSION } from './onnx-writer/versions.ts';
import { pullSource } from './sources/pull.ts';
import { readLabels } from './spec/labels.ts';
import { listLabelFiles, type PreparedOutput, prepareOutputs } from './spec/output-spec.ts';
import { LABELS_FILE, type ModelSpec } from './spec/spec.ts';
import { readSpec } from './spec/spec-file.ts';

export interface PrepareProgress {
  model: string;
  step: 'pull' | 'convert' | 'ready';
  /** For people. */
  message: string;
  /** Bytes, while pulling. */
  doneBytes?: number;
  totalBytes?: number;
}

export interface PrepareOptions {
  /** The folder of the model's spec. Its last part is the model's name. */
  modelDir: string;
  /** The folder for the state of this machine. */
  stateDir: string;
  onProgress?: (progress: PrepareProgress) => void;
  /** @default `convertHere` */
  convert?: Convert | undefined;
  signal?: AbortSignal;
}

const camSchema = z.union([
  z.object({
    /** Name of the ONNX output: float32 [batch, channels, height, width]. */
    featuresOutput: z.string(),
    /** The dense layer's weights: little-endian float32, row-major [classes, channels]. */
    kernelPath: z.string(),
    channels: z.int(),
    classes: z.int(),
  }),
  z.object({ unavailable: z.string() }),
]);

const stampSchema = z.object({
  labels: z.array(z.string()),
  classCount: z.int(),
  /** Absent if the converter does not cover the model. */
  onnxPath: z.string().optional(),
  /** Why there is no ONNX file, naming the op. */
  onnxUnavailable: z.string().optional(),
  cam: camSchema,
});

/** What was made of a source; files by their names in the model's folder. */
export type PreparedStamp = z.infer<typeof stampSchema>;

/** A model on this machine's disk, ready to be loaded by an engine. All paths are absolute. */
export interface PreparedModel {
  name: string;
  /** 12 hex digits: a digest of the source, the spec and the converter. */
  version: string;
  spec: ModelSpec;
  /** Holds the files that the spec names. */
  sourceFolder: string;
  /** One per class; empty if the number of classes is only known once an engine has loaded the model. */
  labels: string[];
  /** 0 for a model without labels. */
  classCount: number;
  /** Outputs besides the labels. In the ONNX file their names are those of `outputPort`. */
  outputs: PreparedOutput[];
  /**
   * Input `image`: uint8 [batch, height, width, channels]; output `probabilities`, unless there are no labels: float32 [batch, classes].
   * Undefined if the converter does not cover the model; `onnxUnavailable` says why.
   */
  onnxPath: string | undefined;
  onnxUnavailable: string | undefined;
  /** The original model.json, for the engines that read tfjs models. Undefined for ONNX models. */
  tfjsPath: string | undefined;
  /** The module of a model with user code. */
  modulePath: string | undefined;
  /** The module that changes each image's output. */
  postprocessPath: string | undefined;
  /** The inputs of class activation maps, or why there are none. */
  cam: z.infer<typeof camSchema>;
}

const STAMP_FILE = 'prepared.json';
/** Of each model, on this machine's disk. */
const KEPT_VERSIONS = 3;
/** In the folder of a version. A module whatever packages are around it. */
const POSTPROCESS_FILE = 'postprocess.mjs';
/** Next to the spec. */
export const CALIBRATION_FILE = 'calibration.json';

/**
 * Downloads, verifies and converts a model, once: later calls only compare the files with their digests, and rebuild damaged ones.
 * An interrupted call leaves nothing that looks complete. Several calls may run at once, also in different processes.
 * @throws ModelError with a code of errors.ts
 * @example
 * const { onnxPath, labels, version } = await prepareModel({ modelDir: 'models/resnet50', stateDir: '.inferql' });
 */
export async function prepareModel(options: PrepareOptions): Promise<PreparedModel> {
  const { name, spec } = await readSpec(options.modelDir);
  const storeDir = path.resolve(options.stateDir, 'models', name);
  const report = (step: PrepareProgress['step'], message: string, bytes: Partial<PrepareProgress> = {}) =>
    options.onProgress?.({ model: name, step, message, ...bytes });

  const source = await pullSource({
    modelDir: options.modelDir,
    source: spec.source,
    format: spec.format,
    files: listLabelFiles(spec.outputs),
    storeDir,
    signal: options.signal,
    onProgress: (doneBytes, totalBytes) => {
      report('pull', `pulling ${name}`, { doneBytes, ...(totalBytes === undefined ? {} : { totalBytes }) });
    },
  });
  const calibration = spec.precision === 'int8' ? await readCalibration(options.modelDir) : undefined;
  const labels = await readMainLabels(spec, options.modelDir, source.folder);
  const outputs = await prepareOutputs(spec.outputs, source.folder);
  const postprocess = spec.postprocess && (await readCode(path.join(options.modelDir, spec.postprocess)));
  const version = digestVersion(spec, source.digest, labels, calibration, postprocess);
  const folder = path.join(storeDir, version);
  if (await isComplete(folder)) {
    await Promise.all([keepFolder(folder), keepFolder(source.folder)]);
  } else {
    if (options.signal?.aborted) throw new ModelError('CANCELED', `the preparation of ${name} was canceled`);
    report('convert', `converting ${name} to ONNX`);
    const convert = options.convert ?? convertHere;
    const fill = async (staging: string) => {
      const conversion = { folder: staging, spec, sourceFolder: source.folder, labels, outputs, calibration };
      const made = await convert(conversion, options.signal);
      checkLabels(spec, labels, made);
      await writeFile(path.join(staging, STAMP_FILE), JSON.stringify(made));
      if (postprocess) await writeFile(path.join(staging, POSTPROCESS_FILE), postprocess);
    };
    await stageFolder(folder, fill, isComplete);
    await sweepOldFolders(storeDir, /^[0-9a-f]{12}$/, KEPT_VERSIONS, folder);
    await sweepOldFolders(storeDir, /^source-[0-9a-f]{12}$/, KEPT_VERSIONS, source.folder);
  }
  const stamp = await readStamp(folder);
  if (!stamp) throw new ModelError('SOURCE_INVALID', `${folder} is damaged: remove it and try again`);
  report('ready', `${name} ${version} is ready`);
  const absolute = (file: string) => path.join(folder, file);
  return {
    name,
    version,
    spec,
    sourceFolder: source.folder,
    labels: stamp.labels,
    classCount: stamp.classCount,
    outputs,
    onnxPath: stamp.onnxPath === undefined ? undefined : absolute(stamp.onnxPath),
    onnxUnavailable: stamp.onnxUnavailable,
    tfjsPath: spec.format.startsWith('tfjs') ? path.join(source.folder, spec.source.model) : undefined,
    modulePath: spec.format === 'module' ? path.join(source.folder, spec.source.model) : undefined,
    postprocessPath: postprocess === undefined ? undefined : absolute(POSTPROCESS_FILE),
    cam: 'unavailable' in stamp.cam ? stamp.cam : { ...stamp.cam, kernelPath: absolute(stamp.cam.kernelPath) },
  };
}

function digestVersion(
  spec: ModelSpec,
  sourceDigest: string,
  labels: readonly string[],
  calibration: Calibration | undefined,
  postprocess: string | undefined,
): string {
  const { description: _, ...rest } = spec;
  const identity = JSON.stringify({
    spec: rest,
    source: sourceDigest,
    labels,
    converter: CONVERTER_VERSION,
    ...(spec.format === 'onnx' ? { wrapper: WRAPPER_VERSION } : {}),
    calibration,
    ...(postprocess === undefined ? {} : { postprocess }),
  });
  return createHash('sha256').update(identity).digest('hex').slice(0, 12);
}

/** A source in a folder may have no labels; one from npm has them in its package or next to the spec. */
async function readMainLabels({ source, labels }: ModelSpec, modelDir: string, folder: string): Promise<string[]> {
  if (labels !== undefined) return labels;
  if (source.labels !== undefined) return readLabels(path.join(folder, source.labels));
  return source.type === 'npm' ? readLabels(path.join(modelDir, LABELS_FILE)) : [];
}

/** @throws ModelError SPEC_INVALID */
async function readCode(file: string): Promise<string> {
  return readTextFile(file).catch((cause: unknown) => {
    throw new ModelError('SPEC_INVALID', `${file} cannot be read`, { cause });
  });
}

async function isComplete(folder: string): Promise<boolean> {
  return (await isIntact(folder)) && (await readStamp(folder)) !== undefined;
}

async function readStamp(folder: string): Promise<PreparedStamp | undefined> {
  const text = await readFile(path.join(folder, STAMP_FILE), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    return stampSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/**
 * Reads the ranges that an int8 version is made with.
 * @throws ModelError SPEC_INVALID
 */
async function readCalibration(modelDir: string): Promise<Calibration> {
  const file = path.join(modelDir, CALIBRATION_FILE);
  const text = await readTextFile(file).catch((cause: unknown) => {
    throw new ModelError('SPEC_INVALID', `precision int8 needs ${file}: create it with the quantize command`, {
      cause,
    });
  });
  const { parseCalibration } = await import('./onnx-writer/quantize/calibration-file.ts');
  return parseCalibration(text, file);
}

/** @throws ModelError SOURCE_INVALID if the model has another number of classes than labels */
function checkLabels({ source }: ModelSpec, labels: readonly string[], { classCount }: PreparedStamp): void {
  if (classCount === labels.length) return;
  throw new ModelError(
    'SOURCE_INVALID',
    `${source.labels ?? LABELS_FILE} names ${labels.length} classes, the model has ${classCount}`,
  );
}
