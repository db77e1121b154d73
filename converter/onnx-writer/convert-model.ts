import { createHash } from 'node:crypto';
import { dtypeOf, elementsOf } from '@inferql/queue/outputs';
import { whyNotScores } from '../answer-shape.ts';
import { ModelError } from '../errors.ts';
import type { InputSpec } from '../spec/input-spec.ts';
import type { PreparedOutput } from '../spec/output-spec.ts';
import type { OutputSpec } from '../spec/spec.ts';
import { parseGraph } from '../tfjs/graphdef.ts';
import { isGraphModel, type ModelJson, signatureOf } from '../tfjs/manifest.ts';
import { dialectOf, nameOutputs, parseTopology } from '../tfjs/topology.ts';
import type { Weight } from '../tfjs/weights.ts';
import { type CamHead, exposeFeatures } from './class-activation-maps.ts';
import { binary } from './emit/binary.ts';
import { softmax, toFloat, unary } from './emit/named-activations.ts';
import { encodeModel } from './graph/encode-onnx.ts';
import { foldGraph } from './graph/fold-graph.ts';
import { BATCH, type ElementType, floatTensor, type GraphPort, type OnnxGraph } from './graph/graph.ts';
import { GraphBuilder, type Value } from './graph/graph-builder.ts';
import { checkWholeNumbers, normalize, shapeImage } from './image-input.ts';
import { convertLayers } from './keras-layers/layers-model.ts';
import { outputPort } from './output-port.ts';
import type { Calibration } from './quantize/calibration-file.ts';
import { quantizeGraph } from './quantize/quantize-graph.ts';
import { convertGraph } from './tfjs-ops/graph-model.ts';

/** Name of the graph's input: uint8 [batch, height, width, channels], RGB or gray. */
const IMAGE_INPUT = 'image';
/** Name of the graph's first output: float32 [batch, classes]. */
const PROBABILITIES_OUTPUT = 'probabilities';

export interface ConvertedModel {
  graph: OnnxGraph;
  classCount: number;
  cam: CamHead | { unavailable: string };
  /** Of what the output with the labels gives for one image, before it is made a row. */
  sizes: readonly number[];
}

export interface Answers {
  /** Two labels make two classes of a model that gives one number per image. 0: the model has no labels. */
  labelCount?: number;
  /** What is given besides the probabilities, as outputs named by `outputPort`. */
  outputs?: readonly PreparedOutput[];
}

/** A converted model before it is written: tensors still have names that calibration can refer to. */
export interface FloatModel {
  graph: OnnxGraph;
  classCount: number;
  cam: CamHead | { unavailable: string };
  /** The first output as the model gives it; its shape in tfjs' order, without the batch. */
  result: { shape: readonly number[]; type: ElementType };
  /** Changes whenever the names of the graph's tensors may mean something else. */
  fingerprint: string;
}

/**
 * Converts a tfjs model to an ONNX file with its weights inside.
 * @throws as convertToGraph does
 */
export function convertModel(
  ...source: Parameters<typeof convertToGraph>
): Omit<ConvertedModel, 'graph'> & { bytes: Uint8Array } {
  const { graph, ...rest } = convertToGraph(...source);
  return { bytes: encodeModel(graph, 'model'), ...rest };
}

/**
 * Converts a tfjs model to ONNX: preprocessing first, then the model, then the activation of the spec.
 * @param calibration if given, the model is written for bytes instead of floats
 * @throws UnsupportedOpError naming what the converter does not cover
 * @throws ModelError TOPOLOGY_INVALID, WEIGHTS_INVALID, SPEC_INVALID
 */
export function convertToGraph(
  modelJson: ModelJson,
  weights: Map<string, Weight>,
  input: InputSpec,
  output: OutputSpec & Answers,
  calibration?: Calibration,
): ConvertedModel {
  const { graph, classCount, cam, result, fingerprint } = buildGraph(modelJson, weights, input, output);
  if (calibration) {
    if (calibration.graph !== fingerprint) {
      throw new ModelError('SPEC_INVALID', 'calibration.json belongs to another model or converter: calibrate again');
    }
    quantizeGraph(graph, calibration.ranges);
  }
  return { graph, classCount, cam, sizes: result.shape };
}

/**
 * The first half of a conversion: the float graph.
 * @param fold false leaves the arithmetic in front of the model as it is, so that it can be read
 */
export function buildGraph(
  modelJson: ModelJson,
  weights: Map<string, Weight>,
  input: InputSpec,
  output: OutputSpec & Answers,
  fold = true,
): FloatModel {
  checkWholeNumbers(modelJson, input);
  const builder = new GraphBuilder();
  const image = builder.input(IMAGE_INPUT, 'uint8', [BATCH, input.height, input.width, input.channels]);
  const normalized = normalize(builder, image, input);
  const convert = isGraphModel(modelJson) ? convertNodes : convertTopology;
  const { outputs = [], labelCount } = output;
  const hasLabels = labelCount !== 0;
  const main = hasLabels ? [{ field: 'output.name', name: output.name }] : [];
  const wanted = [...main, ...outputs.map(({ name, from }) => ({ field: `outputs.${name}.from`, name: from }))];
  const results = convert(builder, modelJson, weights, normalized, input, wanted);
  const { shape = [], type = 'float32' } = results[0] ?? {};
  const graph = builder.graph;
  // Outputs have fixed names, values do not: an Identity costs nothing at run time.
  const add = (value: Value, port: GraphPort) => {
    graph.nodes.push({ op: 'Identity', inputs: [value.name], outputs: [port.name], attributes: {} });
    graph.outputs.push(port);
  };
  let classCount = 0;
  if (hasLabels) {
    const probabilities = finish(builder, results.shift()!, output);
    classCount = probabilities.shape[1] ?? 0;
    add(probabilities, { name: PROBABILITIES_OUTPUT, type: 'float32', shape: [BATCH, classCount] });
  }
  for (const [i, declared] of outputs.entries()) {
    const { value, port } = finishNamed(builder, results[i]!, declared);
    add(value, port);
  }
  if (fold) foldGraph(graph, (name) => builder.channelsOf(name));
  const cam = hasLabels ? exposeFeatures(graph, output) : { unavailable: 'the model has no labels' };
  return { graph, classCount, cam, result: { shape: shape.slice(1), type }, fingerprint: fingerprintOf(graph) };
}

function fingerprintOf(graph: OnnxGraph): string {
  const nodes = graph.nodes.map(({ op, inputs, outputs }) => [op, inputs, outputs]);
  return createHash('sha256').update(JSON.stringify(nodes)).digest('hex').slice(0, 16);
}

/** An output of the model's file. Without a name: its only one. */
interface WantedOutput {
  name: string | undefined;
  /** The spec's field that names it, for messages. */
  field: string;
}

function convertTopology(
  builder: GraphBuilder,
  modelJson: ModelJson,
  weights: Map<string, Weight>,
  image: Value,
  input: InputSpec,
  wanted: readonly WantedOutput[],
): Value[] {
  const topology = parseTopology(modelJson.modelTopology);
  const places = placesOf(nameOutputs(topology), wanted);
  const shaped = shapeImage(builder, image, topology, input);
  const results = convertLayers(builder, topology, dialectOf(modelJson.modelTopology), weights, [shaped]);
  return places.map((at) => results[at]!);
}

function convertNodes(
  builder: GraphBuilder,
  modelJson: ModelJson,
  weights: Map<string, Weight>,
  image: Value,
  _input: InputSpec,
  wanted: readonly WantedOutput[],
): Value[] {
  const graph = parseGraph(modelJson.modelTopology, signatureOf(modelJson));
  const names = graph.outputs.map(({ name }) => name);
  const refs = placesOf(names, wanted).map((at) => graph.outputs[at]!.ref);
  return convertGraph(builder, graph, weights, image, refs);
}

/**
 * Where the wanted outputs are among those of the model.
 * @throws ModelError SPEC_INVALID if the spec does not name one of several outputs; those that `outputs` names do not count
 */
function placesOf(names: readonly string[], wanted: readonly WantedOutput[]): number[] {
  const rest = names.filter((name) => wanted.every((other) => other.name !== name));
  return wanted.map(({ name = rest.length === 1 ? rest[0] : undefined, field }) => {
    const at = name === undefined ? -1 : names.indexOf(name);
    if (at >= 0) return at;
    throw new ModelError(
      'SPEC_INVALID',
      `${field}: expected one of ${names.join(', ')}, found ${name ?? 'none (--output)'}`,
    );
  });
}

/**
 * A named output as a row of values per image, in tfjs' order.
 * @throws ModelError SPEC_INVALID if it has another size than the spec says
 */
function finishNamed(
  builder: GraphBuilder,
  result: Value,
  declared: PreparedOutput,
): { value: Value; port: GraphPort } {
  const elements = elementsOf(declared);
  const type = dtypeOf(declared);
  const port: GraphPort = { name: outputPort(declared.name), type, shape: [BATCH, elements] };
  const field = `outputs.${declared.name}`;
  if (declared.type === 'labels') {
    const answer = { activation: declared.activation ?? 'softmax', labelCount: elements };
    const value = finish(builder, result, answer, `${field}.activation`);
    checkElements(field, value, elements);
    requireScores(field, result.shape.slice(1));
    return { value, port };
  }
  const flat = result.shape.length === 2 ? result : builder.flatten(result);
  checkElements(field, flat, elements);
  if (flat.type === type) return { value: flat, port };
  const to = { float32: 1, int32: 6, uint8: 2 }[type];
  return { value: builder.emit('Cast', [flat], { ...flat, type }, { to: { int: to } }), port };
}

/** @throws ModelError SPEC_INVALID for boxes, masks and features, whose numbers would pass for scores in a row */
export function requireScores(field: string, sizes: readonly number[]): void {
  const why = whyNotScores(sizes);
  if (why !== undefined) throw new ModelError('SPEC_INVALID', `${field}: the model's output ${why}`);
}

function checkElements(field: string, { shape }: Value, elements: number): void {
  if (shape[1] === elements) return;
  throw new ModelError('SPEC_INVALID', `${field}: the model has ${shape[1]} numbers per image, expected ${elements}`);
}

/** The model's output as probabilities [batch, classes]; one number per image becomes two classes for two labels. */
function finish(
  builder: GraphBuilder,
  result: Value,
  output: Pick<OutputSpec, 'activation'> & Answers,
  field = 'output.activation',
): Value {
  const row = result.shape.length === 2 ? result : builder.flatten(result);
  // A graph may end in whole numbers or flags.
  const flat = toFloat(builder, row);
  const isSingle = flat.shape[1] === 1;
  if (isSingle && output.activation === 'logits') {
    throw new ModelError('SPEC_INVALID', `${field}: one number per image is for a sigmoid: expected logits-sigmoid`);
  }
  const probabilities = activate(builder, flat, output);
  if (!isSingle || output.labelCount !== 2) return probabilities;
  const one = builder.constant(floatTensor([1], [1]));
  const other = binary(builder, 'Sub', one, probabilities);
  return builder.emit('Concat', [other, probabilities], { ...flat, shape: [BATCH, 2] }, { axis: { int: 1 } });
}

function activate(builder: GraphBuilder, flat: Value, output: Pick<OutputSpec, 'activation'>): Value {
  switch (output.activation) {
    case 'softmax':
    case 'sigmoid':
      return flat;
    case 'logits':
      return softmax(builder, flat);
    case 'logits-sigmoid':
      return unary(builder, 'Sigmoid', flat);
    default:
      return output.activation satisfies never;
  }
}
