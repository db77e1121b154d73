import type { onnx } from 'onnx-proto';
import { ModelError } from '../errors.ts';
import { KERAS_EXPORT } from '../export-advice.ts';
import { type Constant, readConstants } from './constants.ts';
import type { OnnxModel, OnnxModelGraph } from './decode-onnx.ts';
import { innerGraphs } from './inner-graphs.ts';

type Node = onnx.INodeProto;

const RANDOM = new Set([
  'Bernoulli',
  'Multinomial',
  'RandomNormal',
  'RandomNormalLike',
  'RandomUniform',
  'RandomUniformLike',
]);

/** TensorFlow's own, which tf2onnx leaves in the file. */
const RANDOM_OF_TENSORFLOW = /^Stateless(Random|Truncated)|^RngReadAndSkip$/;

/** The seed of Keras 3's RandomCrop becomes a constant in the file, and with it the place of the crop: only the layer's name tells. */
const RANDOM_CROP = /(^|\/)random_crop(_\d+)*\/strided_slice/;

/**
 * Refuses a model that was exported in training mode: dropout makes its answers random, and batch normalization takes its statistics from
 * the images instead of from training. Both run without an error.
 * @throws ModelError SOURCE_INVALID
 */
export function refuseTraining({ model, graph }: { model: OnnxModel; graph: OnnxModelGraph }): void {
  const functions = (model.functions ?? []).map(({ node }) => ({ node: node ?? [], initializer: [] }));
  for (const { node, initializer } of [graph, ...functions]) {
    const nodes = listNodes(node);
    const constantOf = readConstants({ node: nodes, initializer } as unknown as OnnxModelGraph, undefined);
    const found = nodes.find((candidate) => isForTraining(candidate, constantOf));
    if (!found) continue;
    throw new ModelError(
      'SOURCE_INVALID',
      `the ONNX file contains a model in training mode (${found.opType} is active), so its results are not those of the trained model: export it again after model.eval(), or with Keras by ${KERAS_EXPORT}`,
    );
  }
}

/** Those of branches and loops, too. */
function listNodes(nodes: readonly Node[]): Node[] {
  return nodes.flatMap((node) => [node, ...innerGraphs(node).flatMap((graph) => listNodes(graph.node ?? []))]);
}

function isForTraining(node: Node, constantOf: (name: string) => Constant | undefined): boolean {
  const { opType, input = [], output = [], attribute } = node;
  const wholeOf = (wanted: string) => Number(attribute?.find(({ name }) => name === wanted)?.i ?? 0);
  switch (opType) {
    case 'BatchNormalization':
      // Before opset 14 the means of a batch were further outputs.
      return wholeOf('training_mode') === 1 || (output ?? []).slice(1).some((name) => name !== '');
    case 'Dropout': {
      const ratio = constantOf(input?.[1] ?? '')?.values?.[0];
      return constantOf(input?.[2] ?? '')?.values?.[0] === 1 && ratio !== 0;
    }
    case 'Slice':
      return (output ?? []).some((name) => RANDOM_CROP.test(name));
    default:
      return RANDOM.has(opType ?? '') || RANDOM_OF_TENSORFLOW.test(opType ?? '');
  }
}
