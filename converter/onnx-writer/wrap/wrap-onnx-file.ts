import { dtypeOf, elementsOf } from '@inferql/queue/outputs';
import onnxProto from 'onnx-proto';
import { ModelError } from '../../errors.ts';
import { chooseOutput } from '../../onnx-reader/choose-output.ts';
import type { OnnxModelGraph as Graph, OnnxModel } from '../../onnx-reader/decode-onnx.ts';
import {
  listExternalFiles,
  type MovedPart,
  moveOwnParts,
  relocateExternalFiles,
} from '../../onnx-reader/external-weights.ts';
import {
  type AnswerOutput,
  describeSizes,
  ELEMENT,
  type ImageInput,
  readFacts,
} from '../../onnx-reader/inputs-and-outputs.ts';
import { normalizationOf } from '../../spec/normalization.ts';
import type { PreparedOutput } from '../../spec/output-spec.ts';
import type { ModelSpec } from '../../spec/spec.ts';
import { encodeNode, encodePort, encodeTensor } from '../graph/encode-onnx.ts';
import { BATCH, floatTensor, int64Tensor, type OnnxNode } from '../graph/graph.ts';
import { outputPort } from '../output-port.ts';
import { checkActivation, findOutput } from './named-outputs.ts';
import { keepPoolPadding } from './pool-padding.ts';

const { onnx } = onnxProto;
type InnerGraph = NonNullable<ReturnType<typeof onnx.GraphProto.create>>;

const PREFIX = 'inferql_';
/** The first whose initializers are constants; in older files each is an input, too, which keeps engines from folding it. */
const MIN_IR_VERSION = 4;

export interface WrappedModel {
  bytes: Uint8Array;
  /** Undefined if the file does not say, 0 for a model without labels. */
  classCount: number | undefined;
  /** Files with weights that must be next to the written file: by their place next to the original, and by their new name. */
  externalFiles: { from: string; to: string }[];
  /** Bytes of the original file that must be in OWN_WEIGHTS next to the written file. */
  ownWeights: MovedPart[];
}

export const OWN_WEIGHTS = 'weights.bin';

export interface WrapOptions {
  /** A binary head of one output becomes two classes if there are two labels. 0: the model has no labels. */
  labelCount?: number | undefined;
  /** What is given besides the probabilities, as outputs named by `outputPort`. */
  outputs?: readonly PreparedOutput[];
  /** The ONNX file; those with external data are next to it. */
  file?: string | undefined;
  /** Also give the output with the labels as the file does, under this name. */
  rawOutput?: string;
}

/**
 * Gives an ONNX classifier the interface of a converted one: uint8 images in; probabilities and named outputs out. Its nodes stay.
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
  const { input, outputs, opset } = readFacts(decoded, options.file, spec.input.layout);
  checkInput(input, spec);
  const named = (options.outputs ?? []).map((declared) => ({ declared, found: findOutput(outputs, declared) }));
  const output = options.labelCount === 0 ? undefined : answerOutput(outputs, spec, options.outputs);
  if (output) checkActivation(output, spec.output.activation, 'output.activation');
  const ownWeights = moveOwnParts(graph, OWN_WEIGHTS);
  relocateExternalFiles(graph, new Map(externalFiles.map(({ from, to }) => [from, to])));
  const inputName = `${PREFIX}input`;
  const outputName = `${PREFIX}output`;
  const taken = ['image', 'probabilities'].map((name) => [name, `${PREFIX}own_${name}`] as const);
  const names = new Map([...taken, [input.name, inputName]]);
  if (output) names.set(output.name, outputName);
  rename(graph, names);
  keepPoolPadding(graph, opset, `${PREFIX}pool`);
  const isBinary = output?.classCount === 1 && options.labelCount === 2;
  const front = frontNodes(input, spec, inputName);
  const backs = named.map(({ declared, found }, i) => {
    const ending = {
      prefix: `output${i}_`,
      source: names.get(found.name) ?? found.name,
      target: outputPort(declared.name),
    };
    return backNodes(input, ending, {
      from: found.type,
      to: declared.type === 'tensor' ? ELEMENT_OF[declared.dtype] : ELEMENT.float,
      activation: declared.type === 'labels' ? declared.activation : undefined,
      isBinary: declared.type === 'labels' && found.classCount === 1 && declared.classCount === 2,
    });
  });
  if (output) {
    const { type: from } = output;
    const ending = { prefix: 'back', source: outputName, target: 'probabilities' };
    backs.unshift(backNodes(input, ending, { from, to: ELEMENT.float, activation: spec.output.activation, isBinary }));
  }
  if (output && options.rawOutput !== undefined) {
    const back = createChain(outputName, 'raw').end(options.rawOutput);
    backs.push(back);
  }
  const { width, height, channels } = spec.input;
  const after = backs.flatMap(({ nodes }) => nodes.map(encodeNode));
  graph.node = [...front.nodes.map(encodeNode), ...graph.node, ...after] as Graph['node'];
  graph.initializer.push(
    ...([front, ...backs]
      .flatMap(({ constants }) => constants)
      .map(([name, tensor]) => encodeTensor(name, tensor)) as Graph['initializer']),
  );
  const shape = [input.batch ?? BATCH, height, width, channels];
  graph.input = [encodePort({ name: 'image', type: 'uint8', shape })] as Graph['input'];
  const classCount = output ? (isBinary ? 2 : output.classCount) : 0;
  const batch = input.batch ?? BATCH;
  const answer = output ? [{ name: 'probabilities', type: 'float32', shape: [batch, classCount ?? -2] } as const] : [];
  const further = (options.outputs ?? []).map((declared) => ({
    name: outputPort(declared.name),
    type: dtypeOf(declared),
    shape: [batch, elementsOf(declared)],
  }));
  graph.output = [...answer, ...further].map(encodePort) as Graph['output'];
  // Its shape is what a caller wants to know.
  const raw = { name: options.rawOutput ?? '', type: { tensorType: { elemType: output?.type ?? ELEMENT.float } } };
  if (output && options.rawOutput !== undefined) graph.output.push(raw as Graph['output'][number]);
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

/** With several outputs the spec names one, so that none is dropped silently; those that `outputs` names do not count. */
function answerOutput(all: AnswerOutput[], spec: ModelSpec, named: readonly PreparedOutput[] = []): AnswerOutput {
  const rest = all.filter(({ name }) => named.every(({ from }) => from !== name));
  const outputs = spec.output.name === undefined && rest.length > 0 ? rest : all;
  const chosen = chooseOutput(outputs, spec.output.name);
  if (chosen.certain) return chosen.output;
  const names = outputs.map(({ name, sizes }) => `${name} (${describeSizes(sizes)})`).join(', ');
  throw new ModelError('SPEC_INVALID', `output.name: the ONNX file has the outputs ${names}: expected one of them`);
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
  if (input.without !== undefined) chain.add('Reshape', {}, int64Tensor(shapeWithout(input, spec)));
  return chain.end(target);
}

/** The shape of a file's input of three dimensions. */
function shapeWithout({ without, layout, batch }: ImageInput, { input }: ModelSpec): number[] {
  const { height, width, channels } = input;
  if (without === 'channels') return [batch ?? -1, height, width];
  return layout === 'nchw' ? [channels, height, width] : [height, width, channels];
}

/** ONNX' numbers of the element types of named outputs. */
const ELEMENT_OF = { float32: ELEMENT.float, int32: ELEMENT.int32, uint8: ELEMENT.uint8 } as const;

interface Ending {
  /** Of the names of its values. */
  prefix: string;
  source: string;
  target: string;
}

interface Conversion {
  /** Element types. */
  from: number;
  to: number;
  /** Undefined: the values as they are. */
  activation: ModelSpec['output']['activation'] | undefined;
  /** One number per image becomes two classes. */
  isBinary: boolean;
}

/** From the file's output to a row of values per image. */
function backNodes(input: ImageInput, { prefix, source, target }: Ending, { from, to, ...answer }: Conversion): Part {
  const chain = createChain(source, prefix);
  // A file of a fixed batch may have squeezed the batch's dimension away.
  if (input.batch !== undefined) chain.add('Reshape', {}, int64Tensor([input.batch, -1]));
  else chain.add('Flatten', { axis: { int: 1 } });
  let last = from === to ? '' : chain.add('Cast', { to: { int: to } });
  switch (answer.activation) {
    case 'logits':
      last = chain.add('Softmax', { axis: { int: 1 } });
      break;
    case 'logits-sigmoid':
      last = chain.add('Sigmoid');
      break;
    default:
      last = chain.add('Identity');
  }
  if (!answer.isBinary) return chain.end(target);
  const { part } = chain;
  const [one, other] = [`${PREFIX}${prefix}_one`, `${PREFIX}${prefix}_other`] as const;
  part.constants.push([one, floatTensor([1], [1])]);
  part.nodes.push({ op: 'Sub', inputs: [one, last], outputs: [other], attributes: {} });
  part.nodes.push({ op: 'Concat', inputs: [other, last], outputs: [target], attributes: { axis: { int: 1 } } });
  return part;
}
