/** Outputs of tfjs models: which has the labels, what the others are. */

import { type SizedOutput, wayWithoutLabels, whyNotScores } from '../answer-shape.ts';
import { ModelError, UnsupportedOpError } from '../errors.ts';
import {
  isDetector,
  isNamedEmbedding,
  refuseDetector,
  refuseEmbedding,
} from '../onnx-reader/detectors-and-embeddings.ts';
import { type GraphEnding, hasUnitLength, readEnding } from '../onnx-reader/final-activation.ts';
import { buildGraph } from '../onnx-writer/convert-model.ts';
import type { OnnxGraph } from '../onnx-writer/graph/graph.ts';
import type { ModelSpec } from '../spec/spec.ts';
import { parseGraph } from '../tfjs/graphdef.ts';
import { isGraphModel, type ModelJson, signatureOf } from '../tfjs/manifest.ts';
import { nameOutputs, parseTopology } from '../tfjs/topology.ts';
import type { Weight } from '../tfjs/weights.ts';
import { namesForLabels, type OtherOutput } from './declared-outputs.ts';
import type { Findings } from './findings.ts';
import type { Overrides } from './overrides.ts';
import { type Ask, askOutput } from './questions.ts';

/** The names of a model's outputs. */
function listNames(modelJson: ModelJson): string[] {
  return isGraphModel(modelJson)
    ? parseGraph(modelJson.modelTopology, signatureOf(modelJson)).outputs.map(({ name }) => name)
    : nameOutputs(parseTopology(modelJson.modelTopology));
}

/** Which of a tfjs model's outputs has the labels, and what the others are. */
interface ChosenOutputs {
  names: readonly string[];
  /** Without labels, the first output represents all of them: they share the preprocessing. Undefined if there is only one. */
  outputName: string | undefined;
  hasLabels: boolean;
  /** What the converter makes of the outputs; empty if there is only one, which has the labels. */
  all: readonly OtherOutput[];
}

/**
 * Chooses the output with the labels.
 * @param describe what the converter makes of the outputs
 * @throws as nameOutput does
 */
export async function chooseOutputs(
  modelJson: ModelJson,
  describe: () => OtherOutput[],
  overrides: Overrides,
  findings: Findings,
  ask: Ask | undefined,
): Promise<ChosenOutputs> {
  const names = listNames(modelJson);
  const { output, outputs } = overrides;
  const left = namesForLabels(names, outputs, output);
  if (left.length > 0 && output !== undefined && !names.includes(output)) {
    throw new ModelError('ARGUMENT_INVALID', `--output: expected one of ${names.join(', ')}, found ${output}`);
  }
  if (names.length === 1 && left.length === 1) return { names, outputName: output, hasLabels: true, all: [] };
  const all = describe();
  const named = left.length === 0 ? undefined : (output ?? (await nameOutput(all, left, overrides, findings, ask)));
  return { names, outputName: named ?? names[0], hasLabels: named !== undefined, all };
}

/**
 * The output with the labels, if a model has several.
 * @param all what the converter makes of each of them
 * @param left the names that may have them
 * @returns undefined for a model without labels
 * @throws ModelError SPEC_INVALID if it is not specified, and nobody can be asked; SOURCE_INVALID if none can have them
 */
async function nameOutput(
  all: readonly OtherOutput[],
  left: readonly string[],
  { outputs = [] }: Overrides,
  findings: Findings,
  ask: Ask | undefined,
): Promise<string | undefined> {
  const names = all.map(({ name }) => name);
  const rest = left.map((name) => sizedOf(all.find((one) => one.name === name)!));
  const fit = isDetector(names) ? [] : rest.filter(({ sizes = [] }) => whyNotScores(sizes) === undefined);
  if (fit.length === 0 && outputs.length > 0) return undefined;
  if (isDetector(names)) refuseDetector(rest);
  if (fit.length === 0) refuseAll(rest);
  const list = (sized: readonly { name: string; shown: string }[]) =>
    sized.map(({ name, shown }) => `${name} (${shown})`).join(', ');
  if (fit.length === 1) {
    if (rest.length > 1) findings.read('output', fit[0]!.name, `of ${list(rest)}`);
    return fit[0]!.name;
  }
  if (ask)
    return askOutput(
      ask,
      fit.map(({ name, shown }) => ({ name, shape: shown })),
    );
  throw new ModelError(
    'SPEC_INVALID',
    `the model has ${names.length} outputs: choose one with --output: ${list(fit)}; --outputs serves others in addition`,
  );
}

function sizedOf({ name, shape }: OtherOutput): SizedOutput & { shown: string } {
  return { name, sizes: shape, shown: shape === undefined ? 'of unknown size' : shape.join(' x ') || '1' };
}

/**
 * Refuses boxes, masks and features.
 * @throws ModelError SOURCE_INVALID
 */
export function requireScores(output: SizedOutput & { sizes: readonly number[] }): void {
  if (whyNotScores(output.sizes) !== undefined) refuseAll([output]);
}

/** @throws ModelError SOURCE_INVALID */
function refuseAll(outputs: readonly SizedOutput[]): never {
  const reasons = outputs.map(({ name, sizes = [] }) => `${name} ${whyNotScores(sizes)}`).join('; ');
  const message = `the model has no output with a score per class: ${reasons}; ${wayWithoutLabels(outputs)}`;
  throw new ModelError('SOURCE_INVALID', message);
}

/** What the converter makes of a model's outputs. */
export function describeOutputs(
  modelJson: ModelJson,
  weights: Map<string, Weight>,
  { input }: ModelSpec,
): OtherOutput[] {
  return listNames(modelJson).map((name) => {
    try {
      const { graph, result } = buildGraph(modelJson, weights, input, { activation: 'softmax', name }, false);
      const { shape, type } = result;
      const dtype = type === 'float32' || type === 'uint8' ? type : 'int32';
      const { activation, certain } = endingOf(graph);
      return { name, shape, dtype, activation, activationIsCertain: certain };
    } catch (error) {
      // Tfjs runs the model: the file alone says little.
      if (!(error instanceof UnsupportedOpError)) throw error;
      return { name, shape: undefined, dtype: 'float32', activation: 'softmax', activationIsCertain: false };
    }
  });
}

/** What a model's own last ops make its output. */
export function endingOf(graph: OnnxGraph): GraphEnding {
  return readEnding(nodesOf(graph), graph.outputs[0]?.name ?? '');
}

/**
 * Refuses a vector that the model gives the length 1, as face recognition does.
 * @throws ModelError SPEC_INVALID
 */
export function requireNoEmbedding(name: string, graph: OnnxGraph): void {
  if (isNamedEmbedding(name)) refuseEmbedding(name, 'its name says so');
  if (hasUnitLength(nodesOf(graph), graph.outputs[0]?.name ?? ''))
    refuseEmbedding(name, 'the model gives it the length 1');
}

function nodesOf({ nodes }: OnnxGraph) {
  return nodes.map(({ op, inputs, outputs }) => ({ opType: op, input: [...inputs], output: [...outputs] }));
}
