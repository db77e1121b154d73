/** Outputs of tfjs models: which has the labels, what the others are. */

import { ModelError, UnsupportedOpError } from '../errors.ts';
import { buildGraph } from '../onnx-writer/convert-model.ts';
import type { OnnxGraph } from '../onnx-writer/graph/graph.ts';
import type { ModelSpec } from '../spec/spec.ts';
import { parseGraph } from '../tfjs/graphdef.ts';
import { isGraphModel, type ModelJson, signatureOf } from '../tfjs/manifest.ts';
import { nameOutputs, parseTopology } from '../tfjs/topology.ts';
import type { Weight } from '../tfjs/weights.ts';
import { namesForLabels, type OtherOutput } from './declared-outputs.ts';
import type { Activation, Overrides } from './overrides.ts';
import { type Ask, askOutput } from './questions.ts';

/** The names of a model's outputs. */
export function listNames(modelJson: ModelJson): string[] {
  return isGraphModel(modelJson)
    ? parseGraph(modelJson.modelTopology, signatureOf(modelJson)).outputs.map(({ name }) => name)
    : nameOutputs(parseTopology(modelJson.modelTopology));
}

/**
 * The output with the labels, if a model has several.
 * @throws ModelError SPEC_INVALID if it is not specified, and nobody can be asked
 */
export async function nameOutput(
  modelJson: ModelJson,
  { output, outputs }: Overrides,
  ask: Ask | undefined,
): Promise<string | undefined> {
  const names = listNames(modelJson);
  if (output !== undefined && !names.includes(output)) {
    throw new ModelError('ARGUMENT_INVALID', `--output: expected one of ${names.join(', ')}, found ${output}`);
  }
  const rest = namesForLabels(names, outputs, output);
  if (output !== undefined || names.length === 1) return output;
  if (rest.length === 1) return rest[0];
  if (ask)
    return askOutput(
      ask,
      rest.map((name) => ({ name })),
    );
  const list = names.join(', ');
  throw new ModelError(
    'SPEC_INVALID',
    `the model has ${names.length} outputs: choose one with --output: ${list}; --outputs serves others in addition`,
  );
}

/** What the converter makes of outputs that do not have the labels. */
export function describeOthers(
  modelJson: ModelJson,
  weights: Map<string, Weight>,
  { input }: ModelSpec,
  names: readonly string[],
): OtherOutput[] {
  return names.map((name) => {
    try {
      const { graph, result } = buildGraph(modelJson, weights, input, { activation: 'softmax', name }, false);
      const { shape, type } = result;
      const dtype = type === 'float32' || type === 'uint8' ? type : 'int32';
      const activation = lastActivation(graph);
      return { name, shape, dtype, activation, activationIsCertain: true };
    } catch (error) {
      // Tfjs runs the model: the file alone says little.
      if (!(error instanceof UnsupportedOpError)) throw error;
      return { name, shape: undefined, dtype: 'float32', activation: 'softmax', activationIsCertain: false };
    }
  });
}

/** What a model's own last op makes its output. */
export function lastActivation(graph: OnnxGraph): Activation {
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
