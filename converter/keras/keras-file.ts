import { mkdtemp, open, readFile, rm, stat, writeFile } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import { ModelError } from '../errors.ts';
import { unpackZip } from '../sources/zip.ts';
import { type ModelJson, parseModelJson } from '../tfjs/manifest.ts';
import { parseTopology } from '../tfjs/topology.ts';
import type { Weight } from '../tfjs/weights.ts';
import { type Hdf5, type Hdf5Tensor, openHdf5 } from './hdf5.ts';
import { LAYER_GROUPS, layerPaths } from './layer-paths.ts';

/** A Keras model in the form that tfjs' converter would give it. */
export interface KerasModel {
  modelJson: ModelJson;
  weights: Map<string, Weight>;
}

const MAX_DEPTH = 16;

/**
 * Reads a whole model and writes it into a folder in the form of tfjs: model.json and weights.bin.
 * @throws ModelError as readKerasFile does
 */
export async function storeKerasModel(file: string, folder: string): Promise<void> {
  await withKerasFile(file, async ({ modelJson, weights }) => {
    const target = await open(path.join(folder, 'weights.bin'), 'w');
    try {
      // One weight at a time in memory.
      for (const weight of weights) {
        const { buffer, byteOffset, byteLength } = weight.read();
        await target.writeFile(new Uint8Array(buffer, byteOffset, byteLength));
      }
    } finally {
      await target.close();
    }
    await writeFile(path.join(folder, 'model.json'), JSON.stringify(modelJson));
  });
}

/** Whether a file is one that readKerasFile reads, by its name. */
export function isKerasFile(file: string): boolean {
  return /\.(keras|h5|hdf5)$/i.test(file);
}

/**
 * Reads a whole model as Keras 2 or 3 saves it: a .keras archive or an .h5 file.
 * @throws ModelError SOURCE_INVALID, TOPOLOGY_INVALID, MANIFEST_INVALID
 */
export async function readKerasFile(file: string): Promise<KerasModel> {
  return withKerasFile(file, async ({ modelJson, weights }) => ({
    modelJson,
    weights: new Map(weights.map((weight) => [weight.name, { ...weight, data: weight.read() }])),
  }));
}

/** A model whose weights are read when they are needed. */
interface OpenKerasFile {
  modelJson: ModelJson;
  weights: StoredWeight[];
}

interface StoredWeight extends Hdf5Tensor {
  name: string;
}

type Use<T> = (file: OpenKerasFile) => Promise<T>;

function withKerasFile<T>(file: string, use: Use<T>): Promise<T> {
  return /\.keras$/i.test(file) ? withArchive(file, use) : withHdf5(file, use);
}

async function withArchive<T>(file: string, use: Use<T>): Promise<T> {
  const name = path.basename(file);
  const folder = await mkdtemp(path.join(os.tmpdir(), 'inferql-keras-'));
  try {
    await unpackZip(file, folder);
    const read = async (part: string): Promise<unknown> => {
      try {
        return JSON.parse(await readFile(path.join(folder, part), 'utf8'));
      } catch (cause) {
        throw new ModelError('SOURCE_INVALID', `${name}: ${part} is missing or cannot be read`, { cause });
      }
    };
    const model_config = await read('config.json');
    const { keras_version } = (await read('metadata.json')) as { keras_version?: unknown };
    const weightsFile = path.join(folder, 'model.weights.h5');
    if (!(await stat(weightsFile).catch(() => undefined))) {
      throw new ModelError('SOURCE_INVALID', `${name}: model.weights.h5 is missing`);
    }
    const modelTopology = { keras_version: String(keras_version), backend: 'tensorflow', model_config };
    const hdf5 = await openHdf5(weightsFile);
    try {
      return await use(describe(modelTopology, readNumberedWeights(hdf5, modelTopology, name), name));
    } finally {
      hdf5.close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A .keras file's weights have no names: they are found by the layer's class and its number within the class. */
function readNumberedWeights(hdf5: Hdf5, modelTopology: Record<string, unknown>, name: string): StoredWeight[] {
  const group = LAYER_GROUPS.find((candidate) => hdf5.keys(candidate)) ?? LAYER_GROUPS[0];
  const operations = /^(TFOpLambda|SlicingOpLambda)$/;
  const isThree = String(modelTopology.keras_version).startsWith('3');
  const layers = layerPaths(parseTopology(modelTopology), group, (className) => isThree && operations.test(className));
  return layers.flatMap(({ scope, layer, path: at }) => {
    // Keras 3 writes the layer's name, too.
    const written = hdf5.text(`${at}/vars`, 'name');
    if (written !== undefined && written !== layer) {
      throw new ModelError('SOURCE_INVALID', `${name}: ${at} belongs to layer ${written}, not to ${layer}`);
    }
    return readGroup(hdf5, at, [...scope, layer], 0);
  });
}

/** The numbered weights of a layer, and those of the layers that it is made of. */
function readGroup(hdf5: Hdf5, at: string, names: readonly string[], depth: number): StoredWeight[] {
  if (depth > MAX_DEPTH) throw new ModelError('SOURCE_INVALID', `${at} is nested too deeply`);
  return (hdf5.keys(at) ?? []).flatMap((key) => {
    const child = `${at}/${key}`;
    if (hdf5.isTensor(child)) return [{ name: [...names, key].join('/'), ...hdf5.tensor(child) }];
    return readGroup(hdf5, child, key === 'vars' ? names : [...names, key], depth + 1);
  });
}

async function withHdf5<T>(file: string, use: Use<T>): Promise<T> {
  const name = path.basename(file);
  const hdf5 = await openHdf5(file);
  try {
    const text = hdf5.text('', 'model_config');
    if (text === undefined) {
      const isKeras = hdf5.texts('', 'layer_names') !== undefined || hdf5.keys('layers') !== undefined;
      throw new ModelError(
        'SOURCE_INVALID',
        isKeras
          ? `${name} holds the weights of a Keras model without its layers: save the whole model with model.save('model.keras')`
          : `${name} is not a Keras model`,
      );
    }
    const modelTopology = {
      keras_version: hdf5.text('', 'keras_version') ?? hdf5.text('model_weights', 'keras_version'),
      backend: hdf5.text('', 'backend') ?? 'tensorflow',
      model_config: parseText(text, name),
    };
    return await use(describe(modelTopology, readNamedWeights(hdf5), name));
  } finally {
    hdf5.close();
  }
}

function parseText(text: string, name: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new ModelError('SOURCE_INVALID', `${name}: model_config is not JSON`, { cause });
  }
}

/** An .h5 file has a group for each layer, which says the names of its weights. */
function readNamedWeights(hdf5: Hdf5): StoredWeight[] {
  const groups = readList(hdf5, 'model_weights', 'layer_names');
  return groups.flatMap((layer) => {
    const at = `model_weights/${layer}`;
    return readList(hdf5, at, 'weight_names').map((written) => {
      const own = written.replace(/:0$/, '');
      // A layer's name may contain slashes. Inside a nested model, and for an adapted Normalization, the layer's name is missing.
      const name = `/${own}/`.includes(`/${layer}/`) ? own : `${layer}/${own}`;
      return { name, ...hdf5.tensor(`${at}/${written}`) };
    });
  });
}

/** Lists that are too long for one attribute are written as several: weight_names0, weight_names1, … */
function readList(hdf5: Hdf5, group: string, attribute: string): string[] {
  const whole = hdf5.texts(group, attribute);
  if (whole) return whole;
  const parts: string[][] = [];
  for (let i = 0; ; i++) {
    const part = hdf5.texts(group, `${attribute}${i}`);
    if (!part) return parts.flat();
    parts.push(part);
  }
}

/** Checked as a model.json from elsewhere would be. */
function describe(modelTopology: Record<string, unknown>, weights: StoredWeight[], name: string): OpenKerasFile {
  const specs = weights.map(({ name, shape, dtype }) => ({ name, shape, dtype }));
  const json = {
    format: 'layers-model',
    generatedBy: `keras v${modelTopology.keras_version}`,
    convertedBy: 'InferQL',
    modelTopology,
    weightsManifest: [{ paths: ['weights.bin'], weights: specs }],
  };
  const modelJson = parseModelJson(JSON.stringify(json), name);
  return { modelJson, weights };
}
