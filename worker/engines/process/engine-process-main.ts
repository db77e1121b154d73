/**
 * The engine process: loads one model and serves one run at a time. It exits with the worker that started it, even if
 * the worker is killed.
 */
import { readSync, writeSync } from 'node:fs';
import { endWithParent } from '@inferql/converter/child-process/end-with-parent';
import { withPostprocess } from '../custom/postprocess-module.ts';
import { type ActivationMaps, EngineLoadError, type EngineName, type LoadedModel, type LoadModel } from '../engine.ts';
import type { EngineOutputSpec, OutputArray } from '../output-arrays.ts';
import { ANSWERS_AT, type FromEngine, paddedLength, SHARED_FD, type ToEngine } from './protocol.ts';

/** Engines are imported on demand: each pulls in a native library or a megabyte of code. */
const LOADERS: Record<EngineName, () => Promise<LoadModel>> = {
  onnxruntime: async () => (await import('../onnx/onnxruntime.ts')).loadOnnxruntime,
  tensorflow: async () => (await import('../tfjs/tensorflow.ts')).loadTensorflow,
  wasm: async () => (await import('../tfjs/wasm.ts')).loadWasm,
  module: async () => (await import('../custom/custom-engine.ts')).loadModule,
  scripted: async () => (await import('../scripted/scripted.ts')).loadScripted,
};

/** A result is stored, and sent to everyone who watches. */
const MAX_EXTRA_LENGTH = 65_536;

let loaded: LoadedModel | undefined;
let imageBytes = 0;
let outputSpecs: EngineOutputSpec[] = [];
/** Reused by every run: a new buffer per batch would only feed the garbage collector. */
let images = Buffer.alloc(0);

function send(message: FromEngine): void {
  // The worker may be gone; then this process ends soon, too.
  if (process.connected) process.send!(message, () => {});
}

async function loadModel({ model, limitMs }: Extract<ToEngine, { type: 'load' }>): Promise<void> {
  try {
    const load = await LOADERS[model.engine]();
    loaded = await load(model, limitMs);
    outputSpecs = model.outputs ?? [];
    if (model.postprocess) loaded = await withPostprocess(loaded, model, model.postprocess);
    imageBytes = model.input.width * model.input.height * model.input.channels;
    send({ type: 'loaded', rssBytes: process.memoryUsage.rss(), hasHeatmaps: loaded.hasHeatmaps });
  } catch (error) {
    const failure = error instanceof EngineLoadError ? error.failure : 'failed';
    send({ type: 'loadFailed', failure, message: messageOf(error) });
  }
}

async function runBatch({ id, count, wantHeatmaps }: Extract<ToEngine, { type: 'run' }>): Promise<void> {
  try {
    if (!loaded) throw new Error('no model is loaded');
    const bytes = count * imageBytes;
    if (images.length < bytes) images = Buffer.alloc(bytes);
    readFully(images, bytes);
    const startedAt = performance.now();
    const {
      probabilities,
      maps,
      extra,
      outputs,
      failures = [],
    } = await loaded.run({ images: images.subarray(0, bytes), count, wantHeatmaps });
    const inferenceMs = performance.now() - startedAt;
    const arrays = outputSpecs.map((spec) => requireArray(spec, outputs?.[spec.name], count));
    let at = ANSWERS_AT;
    for (const values of [probabilities, ...(maps ? [maps.values] : []), ...arrays]) {
      writeFully(values, at);
      at += paddedLength(values.byteLength);
    }
    const extraTexts = extra && Array.from({ length: count }, (_, index) => toJson(extra[index], index, failures));
    send({
      type: 'done',
      id,
      inferenceMs,
      rssBytes: process.memoryUsage.rss(),
      probabilities: probabilities.length,
      ...(extraTexts?.some((text) => text !== null) && { extra: extraTexts }),
      ...(failures.length > 0 && { failures: Array.from(failures, (failure) => failure ?? null) }),
      ...(maps && { maps: withoutValues(maps) }),
    });
  } catch (error) {
    send({ type: 'failed', id, message: messageOf(error) });
  }
}

/** What the message says about maps: their values are in the shared file. */
function withoutValues({ values: _, ...rest }: ActivationMaps): Omit<ActivationMaps, 'values'> {
  return rest;
}

function readFully(target: Buffer, bytes: number): void {
  for (let at = 0; at < bytes; ) {
    const read = readSync(SHARED_FD, target, at, bytes - at, at);
    if (read === 0) throw new Error('the shared file is shorter than the batch');
    at += read;
  }
}

function writeFully(values: OutputArray, position: number): void {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  for (let at = 0; at < bytes.length; ) at += writeSync(SHARED_FD, bytes, at, bytes.length - at, position + at);
}

/** @throws Error if an engine gave another array than the model declares */
function requireArray(
  { name, elements }: EngineOutputSpec,
  values: OutputArray | undefined,
  count: number,
): OutputArray {
  if (values?.length === count * elements) return values;
  throw new Error(`output ${name} has ${values?.length ?? 'no'} values, expected ${count} x ${elements}`);
}

/** Fails the image if it is larger than results may be, or cannot be written as JSON. */
function toJson(value: unknown, index: number, failures: (string | undefined)[]): string | null {
  try {
    const text = JSON.stringify(value) ?? null;
    if (text === null || text.length <= MAX_EXTRA_LENGTH) return text;
    failures[index] ??= `extra has ${text.length} characters of JSON, more than ${MAX_EXTRA_LENGTH}`;
  } catch (error) {
    failures[index] ??= `extra cannot be written as JSON: ${messageOf(error)}`;
  }
  return null;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

endWithParent();

// Ctrl-C reaches the whole process group; the worker still needs its engine to finish what it holds.
process.on('SIGINT', () => {});
process.on('SIGTERM', () => {});
process.once('disconnect', () => process.exit(0));
process.on('message', (message: ToEngine) => {
  switch (message.type) {
    case 'load':
      void loadModel(message);
      return;
    case 'run':
      void runBatch(message);
      return;
    default:
      message satisfies never;
  }
});
