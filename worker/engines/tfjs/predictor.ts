/** A tfjs model on the current backend: which of its outputs are read, and how it is run. */
import { dirname } from 'node:path';
import { ReadableStream } from 'node:stream/web';
import { parseGraph, requireFaithfulGraph } from '@inferql/converter/tfjs/graphdef';
import { isGraphModel, type ModelJson, readModelJson, signatureOf } from '@inferql/converter/tfjs/manifest';
import { nameOutputs, parseTopology } from '@inferql/converter/tfjs/topology';
import { streamStoredWeights } from '@inferql/converter/tfjs/weights';
import * as tf from '@tensorflow/tfjs';
import type { EngineModel } from '../engine.ts';
import { replaceGraphOps } from './graph-ops.ts';
import { openLayersModel } from './layers-model.ts';

/** Predicts normalized images: the model's probabilities, the named outputs in the order of the spec, and features if it has any. */
export interface Predictor {
  /** The model's fixed batch size; undefined: any number. */
  fixedBatch: number | undefined;
  predict(
    images: tf.Tensor4D,
    wantFeatures: boolean,
  ): Promise<{ answers: tf.Tensor | undefined; named: tf.Tensor[]; features?: tf.Tensor4D }>;
  hasFeatures: boolean;
}

/** Which outputs to read: the scores of the labels, and the named ones by their names in the file. */
interface Wanted {
  hasLabels: boolean;
  from: readonly string[];
}

/**
 * Loads a tfjs model on the current backend.
 * @throws whatever tfjs throws if it cannot read the model
 */
export async function loadPredictor(
  { path, outputName }: NonNullable<EngineModel['tfjs']>,
  { hasLabels, from }: Wanted = { hasLabels: true, from: [] },
): Promise<Predictor> {
  const json = await readModelJson(path);
  if (isGraphModel(json)) {
    const model = await openGraphModel(json, path);
    // The first output of all, however its signature says so.
    if (outputName === undefined && hasLabels && from.length === 0) return graphPredictor(model, undefined, []);
    const outputs = parseGraph(json.modelTopology, signatureOf(json)).outputs;
    const nodeOf = (at: number) => `${outputs[at]!.ref.node}:${outputs[at]!.ref.output}`;
    const { main, named } = findPlaces(
      outputs.map(({ name }) => name),
      { outputName, hasLabels, from },
    );
    return graphPredictor(model, main === undefined ? undefined : nodeOf(main), named.map(nodeOf));
  }
  const { main, named } = findPlaces(nameOutputs(parseTopology(json.modelTopology)), { outputName, hasLabels, from });
  return layersPredictor(await openLayersModel(json, path), main, named);
}

/** The places of the wanted outputs among those of the file. What other outputs of the spec name is not the one with the scores. */
function findPlaces(
  names: readonly string[],
  { outputName, hasLabels, from }: Wanted & { outputName: string | undefined },
): { main: number | undefined; named: number[] } {
  const placeOf = (name: string) => {
    const at = names.indexOf(name);
    if (at < 0) throw new Error(`there is no output ${name}, but ${names.join(', ')}`);
    return at;
  };
  const named = from.map(placeOf);
  if (!hasLabels) return { main: undefined, named };
  if (outputName !== undefined) return { main: placeOf(outputName), named };
  return {
    main: Math.max(
      0,
      names.findIndex((name) => !from.includes(name)),
    ),
    named,
  };
}

/**
 * Weights are read one at a time: a model may have half a gigabyte of them.
 * @throws ModelError UNSUPPORTED_OP for a graph that tfjs would answer wrongly
 */
async function openGraphModel(json: ModelJson, path: string): Promise<tf.GraphModel> {
  requireFaithfulGraph(parseGraph(json.modelTopology, signatureOf(json)));
  replaceGraphOps();
  const { weightsManifest, ...modelJson } = json;
  const stored = streamStoredWeights(json, dirname(path));
  async function* readBytes() {
    for await (const { bytes } of stored) yield bytes;
  }
  const artifacts: tf.io.ModelArtifacts = {
    ...(modelJson as object),
    modelTopology: modelJson.modelTopology,
    weightSpecs: weightsManifest.flatMap(({ weights }) => weights) as tf.io.WeightsManifestEntry[],
    getWeightStream: () => ReadableStream.from(readBytes()) as unknown as globalThis.ReadableStream<ArrayBuffer>,
  };
  try {
    return await tf.loadGraphModel({ load: async () => artifacts }, { streamWeights: true });
  } finally {
    // tfjs reads no further than the last weight: the file would stay open.
    await stored.return(undefined);
  }
}

/** @param main the place of the output with the scores; undefined for a model without labels */
function layersPredictor(model: tf.LayersModel, main: number | undefined, named: readonly number[]): Predictor {
  const wanted = [...(main === undefined ? [] : [main]), ...named].map((at) => model.outputs[at]!);
  const pooling = model.layers.findLast((layer) => layer.getClassName() === 'GlobalAveragePooling2D');
  const canDraw = main !== undefined && pooling && !Array.isArray(pooling.input);
  const withFeatures =
    canDraw && model.layers.at(-1)?.getClassName() !== 'Sequential'
      ? tryModel(() => tf.model({ inputs: model.inputs, outputs: [...wanted, pooling.input as tf.SymbolicTensor] }))
      : undefined;
  return {
    fixedBatch: fixedBatchOf(model.inputs[0]?.shape),
    hasFeatures: withFeatures !== undefined,
    async predict(images, wantFeatures) {
      if (wantFeatures && withFeatures) {
        const all = withFeatures.predict(images) as tf.Tensor[];
        const features = all.pop() as tf.Tensor4D;
        return { answers: all[0], named: all.slice(1), features };
      }
      const found = model.predict(images);
      const all = found instanceof tf.Tensor ? [found] : found;
      // Two of the spec's outputs may be the same one of the file.
      const kept = [...(main === undefined ? [] : [main]), ...named].map((at) => all[at]!.clone());
      tf.dispose(all);
      return { answers: main === undefined ? undefined : kept.shift(), named: kept };
    },
  };
}

/**
 * @param main the node with the scores; undefined for a model without labels
 * @param named nodes of other outputs; if there are none of either, the scores are the first output
 */
function graphPredictor(model: tf.GraphModel, main: string | undefined, named: readonly string[]): Predictor {
  const wanted = [...(main === undefined ? [] : [main]), ...named];
  const nodes = [...new Set(wanted)];
  const isFirst = wanted.length === 0;
  let needsAsync = false;

  const pick = (found: tf.Tensor | tf.Tensor[] | tf.NamedTensorMap) => {
    const all = found instanceof tf.Tensor ? [found] : Object.values(found);
    const kept = (isFirst ? [0] : wanted.map((node) => nodes.indexOf(node))).map((at) => all[at]!.clone());
    tf.dispose(all);
    return { answers: isFirst || main !== undefined ? kept.shift() : undefined, named: kept };
  };

  // tfjs does not convert floats to whole numbers itself. They are bytes: nothing else may be done to them before.
  const typed = (images: tf.Tensor4D) => (model.inputs[0]?.dtype === 'int32' ? images.toInt() : images.clone());

  return {
    fixedBatch: fixedBatchOf(model.inputs[0]?.shape ?? []),
    hasFeatures: false,
    async predict(floats) {
      const images = typed(floats);
      try {
        return await run(images);
      } finally {
        images.dispose();
      }
    },
  };

  async function run(images: tf.Tensor4D) {
    if (!needsAsync) {
      try {
        return pick(isFirst ? model.predict(images) : model.execute(images, nodes));
      } catch (error) {
        // A graph with control flow fails at its first run.
        if (!/executeAsync/.test((error as Error).message)) throw error;
        needsAsync = true;
      }
    }
    return pick(await model.executeAsync(images, isFirst ? undefined : nodes));
  }
}

function fixedBatchOf(shape: readonly (number | null)[] | undefined): number | undefined {
  const batch = shape?.[0];
  return typeof batch === 'number' && batch > 0 ? batch : undefined;
}

function tryModel<T>(make: () => T): T | undefined {
  try {
    return make();
  } catch {
    return undefined;
  }
}
