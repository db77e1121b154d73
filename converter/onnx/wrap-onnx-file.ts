import onnxProto from 'onnx-proto';
import { ModelError } from '../errors.ts';
import { normalizationOf } from '../normalization.ts';
import { chooseOutput } from '../onnx-file/choose-output.ts';
import { listExternalFiles, type MovedPart, moveOwnParts, relocateExternalFiles } from '../onnx-file/external.ts';
import { type AnswerOutput, describeSizes, ELEMENT, type ImageInput, readFacts } from '../onnx-file/facts.ts';
import type { OnnxModelGraph as Graph, OnnxModel } from '../onnx-file/model-file.ts';
import type { ModelSpec } from '../spec.ts';
import { BATCH, floatTensor, int64Tensor, type OnnxNode } from './graph.ts';
import { encodeNode, encodePort, encodeTensor } from './write.ts';

const { onnx } = onnxProto;
type InnerGraph = NonNullable<ReturnType<typeof onnx.GraphProto.create>>;

const PREFIX = 'inferql_';
/** The first whose initializers are constants; in older files each is an input, too, which keeps engines from folding it. */
const MIN_IR_VERSION = 4;

/** Changes whenever the files that `wrapOnnx` writes, or refuses to write, change. */
export const WRAPPER_VERSION = 3;

export interface WrappedModel {
  bytes: Uint8Array;
  /** Undefined if the file does not say. */
  classCount: number | undefined;
  /** Files with weights that must be beside the written file: by their place beside the original, and by their new name. */
  externalFiles: { from: string; to: string }[];
  /** Bytes of the original file that must be in OWN_WEIGHTS beside the written file. */
  ownWeights: MovedPart[];
}

export const OWN_WEIGHTS = 'weights.bin';

export interface WrapOptions {
  /** A binary head of one output becomes two classes if there are two labels. */
  labelCount?: number | undefined;
  /** The ONNX file; those with external data are beside it. */
  file?: string | undefined;
}

/**
 * Gives an ONNX classifier the interface of a converted one: uint8 images in, probabilities out. Its nodes stay.
 * A file of a fixed batch keeps it.
 * @param decoded the file; it is changed
 * @throws ModelError SOURCE_INVALID, SPEC_INVALID
 */
export function wrapOnnx(
  decoded: { model: OnnxModel; graph: Graph },
  spec: ModelSpec,
  options: WrapOptions = {},
): WrappedModel {
  const { model, graph } = decoded;
  const externalFiles = listExternalFiles(graph).map((from, i) => ({ from, to: `weights-${i}.bin` }));
  const { input, outputs } = readFacts(decoded, options.file, spec.input.layout);
  checkInput(input, spec);
  const output = answerOutput(outputs, spec);
  checkActivation(output, spec);
  const ownWeights = moveOwnParts(graph, OWN_WEIGHTS);
  relocateExternalFiles(graph, new Map(externalFiles.map(({ from, to }) => [from, to])));
  const inputName = `${PREFIX}input`;
  const outputName = `${PREFIX}output`;
  const taken = ['image', 'probabilities'].map((name) => [name, `${PREFIX}own_${name}`] as const);
  rename(graph, new Map([...taken, [input.name, inputName], [output.name, outputName]]));
  const isBinary = output.classCount === 1 && options.labelCount === 2;
  const front = frontNodes(input, spec, inputName);
  const back = backNodes(input, output, spec, outputName, isBinary);
  const { width, height, channels } = spec.input;
  graph.node = [...front.nodes.map(encodeNode), ...graph.node, ...back.nodes.map(encodeNode)] as Graph['node'];
  graph.initializer.push(
    ...([...front.constants, ...back.constants].map(([name, tensor]) =>
      encodeTensor(name, tensor),
    ) as Graph['initializer']),
  );
  const shape = [input.batch ?? BATCH, height, width, channels];
  graph.input = [encodePort({ name: 'image', type: 'uint8', shape })] as Graph['input'];
  const classCount = isBinary ? 2 : output.classCount;
  graph.output = [
    encodePort({ name: 'probabilities', type: 'float32', shape: [input.batch ?? BATCH, classCount ?? -2] }),
  ] as Graph['output'];
  model.irVersion = Math.max(Number(model.irVersion), MIN_IR_VERSION);
  return { bytes: onnx.ModelProto.encode(model).finish(), classCount, externalFiles, ownWeights };
}

function checkInput(input: ImageInput, spec: ModelSpec): void {
  const { width, height, channels } = spec.input;
  const fits = (size: number | undefined, expected: number) => size === undefined || size === expected;
  if (!fits(input.width, width) || !fits(input.height, height) || !fits(input.channels, channels)) {
    const found = [input.width, input.height, input.channels].map((size) => size ?? '?').join(' x ');
    throw new ModelError(
      'SPEC_INVALID',
      `input: the ONNX file takes images of ${found} (width x height x channels, ${input.layout}), the spec says ${width} x ${height} x ${channels}`,
    );
  }
  const { mean, scale } = normalizationOf(spec.input);
  const isFloat = input.type === ELEMENT.float || input.type === ELEMENT.half || input.type === ELEMENT.double;
  if (!isFloat && (mean.some((value) => value !== 0) || scale.some((value) => value !== 1))) {
    throw new ModelError(
      'SPEC_INVALID',
      `input.normalization: expected none, since the ONNX file takes ${input.typeName}`,
    );
  }
}

/** With several outputs the spec names one, so that none is dropped unseen. */
function answerOutput(outputs: AnswerOutput[], spec: ModelSpec): AnswerOutput {
  const chosen = chooseOutput(outputs, spec.output.name);
  if (chosen.certain) return chosen.output;
  const names = outputs.map(({ name, sizes }) => `${name} (${describeSizes(sizes)})`).join(', ');
  throw new ModelError('SPEC_INVALID', `output.name: the ONNX file has the outputs ${names}: expected one of them`);
}

/** @throws ModelError SPEC_INVALID if a softmax or sigmoid would be applied to probabilities */
function checkActivation({ ending, classCount }: AnswerOutput, spec: ModelSpec): void {
  const { activation } = spec.output;
  if (activation === 'logits' && classCount === 1) {
    throw new ModelError(
      'SPEC_INVALID',
      'output.activation: one number per image is for a sigmoid: expected logits-sigmoid',
    );
  }
  if (!ending.certain || ending.activation === 'logits') return;
  if (activation === 'softmax' || activation === 'sigmoid') return;
  throw new ModelError(
    'SPEC_INVALID',
    `output.activation: the ONNX file ends in ${ending.op} already: expected ${ending.activation}, found ${activation}`,
  );
}

/** Renames values that collide with the wrapper's names, also inside control flow, whose graphs may refer to values outside. */
function rename(graph: InnerGraph, names: ReadonlyMap<string, string>): void {
  const renamed = (name: string) => names.get(name) ?? name;
  for (const node of graph.node ?? []) {
    // Nodes' names are for people, and the wrapper's must not collide with them.
    node.name = '';
    node.input = (node.input ?? []).map(renamed);
    node.output = (node.output ?? []).map(renamed);
    for (const { g, graphs } of node.attribute ?? []) {
      for (const inner of [g, ...(graphs ?? [])]) if (inner) rename(inner as InnerGraph, names);
    }
  }
  for (const tensor of graph.initializer ?? []) tensor.name = renamed(tensor.name ?? '');
  for (const { values } of graph.sparseInitializer ?? []) if (values) values.name = renamed(values.name ?? '');
  for (const port of [...(graph.input ?? []), ...(graph.output ?? []), ...(graph.valueInfo ?? [])]) {
    port.name = renamed(port.name ?? '');
  }
}

interface Part {
  nodes: OnnxNode[];
  constants: [string, ReturnType<typeof floatTensor>][];
}

/** A chain of operators from one value to another; each may have constants behind its input. */
function createChain(source: string, prefix: string) {
  const part: Part = { nodes: [], constants: [] };
  let last = source;
  return {
    part,
    add(op: string, attributes: OnnxNode['attributes'] = {}, constant?: ReturnType<typeof floatTensor>): string {
      const name = `${PREFIX}${prefix}${part.nodes.length}`;
      if (constant) part.constants.push([`${name}_c`, constant]);
      part.nodes.push({ op, inputs: constant ? [last, `${name}_c`] : [last], outputs: [name], attributes });
      last = name;
      return name;
    },
    end(target: string): Part {
      part.nodes.push({ op: 'Identity', inputs: [last], outputs: [target], attributes: {} });
      return part;
    },
  };
}

function frontNodes(input: ImageInput, spec: ModelSpec, target: string): Part {
  const { mean, scale, reverseChannels } = normalizationOf(spec.input);
  const isFirst = input.layout === 'nchw';
  const shape = isFirst ? [1, mean.length, 1, 1] : [1, 1, 1, mean.length];
  const chain = createChain('image', 'front');
  if (isFirst) chain.add('Transpose', { perm: { ints: [0, 3, 1, 2] } });
  const isInteger = input.type === ELEMENT.uint8 || input.type === ELEMENT.int32 || input.type === ELEMENT.int64;
  if (!isInteger) {
    // The arithmetic in float32, whatever the model takes: halves do not hold 1/255 well.
    chain.add('Cast', { to: { int: ELEMENT.float } });
    if (mean.some((value) => value !== 0)) chain.add('Sub', {}, floatTensor(shape, mean));
    if (scale.some((value) => value !== 1)) chain.add('Mul', {}, floatTensor(shape, scale));
  }
  if (reverseChannels) {
    const order = int64Tensor(mean.map((_, i) => mean.length - 1 - i));
    chain.add('Gather', { axis: { int: isFirst ? 1 : 3 } }, order);
  }
  if (input.type !== ELEMENT.float && input.type !== ELEMENT.uint8) chain.add('Cast', { to: { int: input.type } });
  return chain.end(target);
}

function backNodes(input: ImageInput, output: AnswerOutput, spec: ModelSpec, source: string, isBinary: boolean): Part {
  const chain = createChain(source, 'back');
  // A file of a fixed batch may have squeezed the batch's dimension away.
  if (input.batch !== undefined) chain.add('Reshape', {}, int64Tensor([input.batch, -1]));
  else chain.add('Flatten', { axis: { int: 1 } });
  let last = output.type === ELEMENT.float ? '' : chain.add('Cast', { to: { int: ELEMENT.float } });
  switch (spec.output.activation) {
    case 'logits':
      last = chain.add('Softmax', { axis: { int: 1 } });
      break;
    case 'logits-sigmoid':
      last = chain.add('Sigmoid');
      break;
    default:
      last = chain.add('Identity');
  }
  if (!isBinary) return chain.end('probabilities');
  const { part } = chain;
  part.constants.push([`${PREFIX}one`, floatTensor([1], [1])]);
  const other = `${PREFIX}other`;
  part.nodes.push({ op: 'Sub', inputs: [`${PREFIX}one`, last], outputs: [other], attributes: {} });
  const concat = { inputs: [other, last], outputs: ['probabilities'], attributes: { axis: { int: 1 } } };
  part.nodes.push({ op: 'Concat', ...concat });
  return part;
}
