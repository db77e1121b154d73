import { readFile } from 'node:fs/promises';
import path from 'node:path';
import { z } from 'zod';
import { ModelError, UnsupportedOpError } from '../errors.ts';
import { buildGraph } from '../onnx/convert.ts';
import type { OnnxGraph } from '../onnx/graph.ts';
import { readEnding } from '../onnx-file/activation.ts';
import { decodeOnnx } from '../onnx-file/model-file.ts';
import type { InputSpec, ModelSpec } from '../spec.ts';
import { parseGraph } from '../tfjs/graphdef.ts';
import { mayRunOnTfjs, WAY_OUT } from '../tfjs/keras3.ts';
import { isGraphModel, type ModelJson, readModelJson, signatureOf } from '../tfjs/manifest.ts';
import { parseTopology } from '../tfjs/topology.ts';
import { readWeights } from '../tfjs/weights.ts';

type Normalization = InputSpec['normalization'];
type Activation = ModelSpec['output']['activation'];

/** What a user said on the command line; it goes before what the model says. */
export interface Told {
  width?: number | undefined;
  height?: number | undefined;
  normalization?: Normalization | undefined;
  activation?: Activation | undefined;
  shortSide?: number | undefined;
}

export interface Inspection {
  format: ModelSpec['format'];
  input: { width: number; height: number; channels: 1 | 3; shortSide?: number; normalization: Normalization };
  activation: Activation;
  /** Undefined where it is only known once an engine has run the model. */
  classCount: number | undefined;
  /** From the model's metadata. */
  labels: string[] | undefined;
  /** What was guessed, for people to check. */
  notes: string[];
}

const metadataSchema = z.looseObject({ labels: z.array(z.string()).optional(), imageSize: z.number().optional() });

/**
 * Finds out what a model's spec should say by looking at the model and its metadata.
 * @throws ModelError where the model cannot be read
 */
export async function inspectModel(file: string, told: Told): Promise<Inspection> {
  const metadata = await readMetadata(path.dirname(file));
  const notes: string[] = [];
  const normalization = told.normalization ?? (metadata ? 'tf' : undefined);
  if (file.endsWith('.onnx')) {
    return inspectOnnx(await readFile(file), told, metadata, notes, normalization);
  }
  const modelJson = await readModelJson(file);
  const format = isGraphModel(modelJson) ? 'tfjs-graph' : 'tfjs-layers';
  const [height, width, channels] = imageShape(modelJson);
  const chosen = normalization ?? guessNormalization(modelJson);
  if (!normalization) notes.push(`normalization ${chosen} is a guess: check it in the spec`);
  const input = {
    width: told.width ?? width ?? metadata?.imageSize ?? 224,
    height: told.height ?? height ?? metadata?.imageSize ?? 224,
    channels: channels === 1 ? (1 as const) : (3 as const),
    ...cropOf(told, metadata, width),
    normalization: chosen,
  };
  const outcome = await outcomeOf(modelJson, file, { ...input, kernel: 'linear' }, notes);
  return {
    format,
    input,
    activation: told.activation ?? outcome.activation,
    classCount: outcome.classCount,
    labels: metadata?.labels,
    notes,
  };
}

function inspectOnnx(
  bytes: Uint8Array,
  told: Told,
  metadata: z.infer<typeof metadataSchema> | undefined,
  notes: string[],
  normalization: Normalization = 'torch',
): Inspection {
  const { graph } = decodeOnnx(bytes);
  const ending = readEnding(graph.node, graph.output[0]?.name ?? '');
  const { width = 224, height = 224 } = told;
  notes.push(`size ${width} x ${height}, normalization ${normalization}: check them in the spec`);
  if (told.activation === undefined) {
    const sure = ending.certain ? '' : ' is a guess: check it in the spec';
    notes.push(`activation ${ending.activation}${sure} (the file ends in ${ending.op})`);
  }
  const input = { width, height, channels: 3 as const, normalization, ...cropOf(told, metadata) };
  const activation = told.activation ?? ending.activation;
  return { format: 'onnx', input, activation, classCount: undefined, labels: metadata?.labels, notes };
}

async function readMetadata(folder: string) {
  const text = await readFile(path.join(folder, 'metadata.json'), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    return metadataSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw new ModelError('SOURCE_INVALID', 'metadata.json cannot be read', { cause });
  }
}

/** Teachable Machine trains on the square in the middle; for others nothing is known, so that nothing is cut. */
function cropOf(told: Told, metadata: object | undefined, width?: number): { shortSide?: number } {
  const shortSide = told.shortSide ?? (metadata ? width : undefined);
  return shortSide === undefined ? {} : { shortSide };
}

function imageShape(modelJson: ModelJson): (number | undefined)[] {
  const known = (size: unknown): number | undefined => (typeof size === 'number' && size > 0 ? size : undefined);
  if (isGraphModel(modelJson)) {
    const graph = parseGraph(modelJson.modelTopology, signatureOf(modelJson));
    const shapes = [...graph.nodes.values()]
      .filter((node) => node.op === 'Placeholder')
      .map((node) => node.attributes.shape('shape'));
    return (shapes.find((shape) => shape?.length === 4) ?? []).slice(1).map(known);
  }
  const topology = parseTopology(modelJson.modelTopology);
  const layer = topology.layers.find(({ name }) => name === topology.inputs[0]?.layer);
  const shape = layer?.config.batch_input_shape ?? layer?.config.batch_shape;
  return Array.isArray(shape) ? shape.slice(1).map(known) : [];
}

/** By the habits of keras-applications: families are known by the names that they give their layers. */
function guessNormalization(modelJson: ModelJson): Normalization {
  const text = JSON.stringify(modelJson.modelTopology).toLowerCase();
  if (/"class_name":"(rescaling|normalization)"/.test(text) || text.includes('efficientnet')) return 'none';
  if (/resnet\d+v2|mobilenet|inception|xception|nasnet/.test(text)) return 'tf';
  if (/resnet|vgg/.test(text)) return 'caffe';
  if (text.includes('densenet')) return 'torch';
  return 'unit';
}

async function outcomeOf(modelJson: ModelJson, file: string, input: InputSpec, notes: string[]) {
  const weights = await readWeights(modelJson, path.dirname(file));
  try {
    const { graph, classCount } = buildGraph(modelJson, weights, input, { activation: 'softmax' });
    return { activation: lastActivation(graph), classCount };
  } catch (error) {
    if (!(error instanceof UnsupportedOpError)) throw error;
    if (!mayRunOnTfjs(modelJson))
      throw new ModelError('SOURCE_INVALID', `${error.message}. ${WAY_OUT}`, { cause: error });
    notes.push(`${error.message}: tried on another engine than onnxruntime; activation softmax is a guess`);
    return { activation: 'softmax' as const, classCount: undefined };
  }
}

/** What a model's own last op makes its output. */
function lastActivation(graph: OnnxGraph): Activation {
  let name = graph.outputs[0]?.name;
  for (;;) {
    const node = graph.nodes.find((candidate) => candidate.outputs[0] === name);
    switch (node?.op) {
      case 'Identity':
      case 'Reshape':
      case 'Flatten':
      case 'Squeeze':
        name = node.inputs[0];
        break;
      case 'Softmax':
        return 'softmax';
      case 'Sigmoid':
        return 'sigmoid';
      default:
        return 'logits';
    }
  }
}
