import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { ModelError } from '../errors.ts';

/** Beyond these a manifest is hostile or broken: no image classifier comes near. */
const MAX_MODEL_JSON_BYTES = 64 * 1024 * 1024;
const MAX_WEIGHT_ELEMENTS = 2 ** 29;
const MAX_WEIGHTS = 20_000;
const MAX_TOTAL_BYTES = 2 ** 31;

const shardPath = z
  .string()
  .min(1)
  .max(300)
  .refine((value) => !/[\\:\0]/.test(value) && !value.startsWith('/'), 'a relative path')
  .refine((value) => !value.split('/').includes('..'), 'a path inside the folder of the model');

const weightSpec = z.looseObject({
  name: z.string().min(1).max(500),
  shape: z
    .array(z.int().min(0).max(MAX_WEIGHT_ELEMENTS))
    .max(8)
    .refine((shape) => shape.reduce((a, b) => a * b, 1) <= MAX_WEIGHT_ELEMENTS, 'a tensor of a believable size'),
  dtype: z.enum(['float32', 'float16', 'int32', 'uint8', 'uint16', 'bool', 'string', 'complex64']),
  quantization: z
    .looseObject({
      dtype: z.enum(['uint8', 'uint16', 'float16']),
      scale: z.number().optional(),
      min: z.number().optional(),
      original_dtype: z.enum(['float32', 'int32']).optional(),
    })
    .optional(),
});

const modelJson = z.looseObject({
  format: z.string().optional(),
  generatedBy: z.string().nullish(),
  convertedBy: z.string().nullish(),
  modelTopology: z.record(z.string(), z.unknown()),
  weightsManifest: z
    .array(z.looseObject({ paths: z.array(shardPath).max(10_000), weights: z.array(weightSpec).max(MAX_WEIGHTS) }))
    .max(10_000),
});

export type WeightSpec = z.infer<typeof weightSpec>;
/** A tfjs model.json, checked: shapes are believable and paths stay inside the model's folder. */
export type ModelJson = z.infer<typeof modelJson>;

const BYTES_PER_ELEMENT = { float32: 4, float16: 2, int32: 4, uint8: 1, uint16: 2, bool: 1 } as const;

/** Bytes that a weight takes in its shard. */
export function storedBytes(weight: WeightSpec): number {
  const dtype = weight.quantization?.dtype ?? weight.dtype;
  if (dtype === 'string' || dtype === 'complex64') {
    throw new ModelError(
      'MANIFEST_INVALID',
      `weight ${weight.name} is of type ${dtype}, which no image classifier needs: export the part that gives scores`,
    );
  }
  return weight.shape.reduce((a, b) => a * b, 1) * BYTES_PER_ELEMENT[dtype];
}

/**
 * Parses a model.json's text.
 * @throws ModelError MANIFEST_INVALID that says which field was wrong
 */
export function parseModelJson(text: string, file: string): ModelJson {
  if (text.length > MAX_MODEL_JSON_BYTES) throw new ModelError('MANIFEST_INVALID', `${file} is over 64 MB`);
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch (cause) {
    throw new ModelError('MANIFEST_INVALID', `${file} is not JSON`, { cause });
  }
  const parsed = modelJson.safeParse(raw);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    if (typeof raw === 'object' && raw !== null && ('class_name' in raw || 'model_config' in raw)) {
      const wayOut = "save the whole model with model.save('model.keras')";
      throw new ModelError('MANIFEST_INVALID', `${file} has the layers of a Keras model without weights: ${wayOut}`);
    }
    if (weightsAlone.safeParse(raw).success) {
      const wayOut = "save it with tfjs' model.save, or serve it with that code (docs/custom-engine.md)";
      throw new ModelError('MANIFEST_INVALID', `${file} lists weights of a model whose layers are in code: ${wayOut}`);
    }
    const [address] = listAddresses(raw);
    if (address !== undefined) {
      const wayOut = 'download the weight files next to it, and add the folder';
      throw new ModelError('MANIFEST_INVALID', `${file} names weight files by URL, such as ${address}: ${wayOut}`);
    }
    throw new ModelError(
      'MANIFEST_INVALID',
      `${file} is not a tfjs model: ${issue?.path.join('.') || '(the whole file)'}: ${issue?.message}`,
    );
  }
  let total = 0;
  const names = new Set<string>();
  for (const weight of parsed.data.weightsManifest.flatMap((group) => group.weights)) {
    if (names.has(weight.name)) throw new ModelError('MANIFEST_INVALID', `${file} lists weight ${weight.name} twice`);
    names.add(weight.name);
    total += storedBytes(weight);
  }
  const shards = new Set<string>();
  for (const shard of parsed.data.weightsManifest.flatMap((group) => group.paths)) {
    if (shards.has(shard)) throw new ModelError('MANIFEST_INVALID', `${file} lists weight file ${shard} twice`);
    shards.add(shard);
  }
  if (total > MAX_TOTAL_BYTES) throw new ModelError('MANIFEST_INVALID', `${file} declares more than 2 GB of weights`);
  return parsed.data;
}

/** What tfjs' `io.weightsLoader` reads, without the layers: as face-api.js and others publish models that their code completes. */
const weightsAlone = z.array(z.looseObject({ paths: z.array(z.string()), weights: z.array(z.looseObject({})) })).min(1);

const ADDRESS = /^https?:\/\//i;
const manifestPaths = z.looseObject({ weightsManifest: z.array(z.looseObject({ paths: z.array(z.string()) })) });

/** The weight files that a model.json names by a complete URL, which only a browser would load. */
function listAddresses(raw: unknown): string[] {
  const groups = manifestPaths.safeParse(raw).data?.weightsManifest ?? [];
  return groups.flatMap(({ paths }) => paths).filter((name) => ADDRESS.test(name));
}

/**
 * Names weight files by their last part if a model.json names them by a complete URL, for files that were downloaded next to it.
 * @returns the text as it is if no weight file has a URL
 */
export function withLocalShards(text: string): string {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    // Reported by who parses it.
    return text;
  }
  if (listAddresses(raw).length === 0) return text;
  const { weightsManifest, ...rest } = manifestPaths.parse(raw);
  const localize = (name: string) => (ADDRESS.test(name) ? path.posix.basename(name.replace(/[?#].*$/, '')) : name);
  const groups = weightsManifest.map((group) => ({ ...group, paths: group.paths.map(localize) }));
  return JSON.stringify({ ...rest, weightsManifest: groups });
}

/** Whether a model.json holds a TensorFlow graph; else it holds Keras layers. */
export function isGraphModel(modelJson: ModelJson): boolean {
  return modelJson.format === 'graph-model' || Array.isArray(modelJson.modelTopology.node);
}

/** What names a graph model's inputs and outputs; older converters kept it elsewhere. */
export function signatureOf(modelJson: ModelJson): unknown {
  return modelJson.signature ?? (modelJson.userDefinedMetadata as { signature?: unknown } | undefined)?.signature;
}

/** Reads and checks a model.json. */
export async function readModelJson(file: string): Promise<ModelJson> {
  return parseModelJson(await readModelText(file), path.basename(file));
}

/** @throws ModelError MANIFEST_INVALID for what is not a file of a believable size */
export async function readModelText(file: string): Promise<string> {
  const name = path.basename(file);
  try {
    const found = await stat(file);
    // A pipe or a device would be read forever, and the models after it would wait.
    if (!found.isFile() || found.size > MAX_MODEL_JSON_BYTES) {
      throw new ModelError('MANIFEST_INVALID', `${name} is not a file of at most 64 MB`);
    }
    return await readFile(file, 'utf8');
  } catch (cause) {
    if (cause instanceof ModelError) throw cause;
    throw new ModelError('MANIFEST_INVALID', `${name} cannot be read`, { cause });
  }
}
