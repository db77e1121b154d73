import { dtypeOf, elementsOf } from '@inferql/queue/outputs';
import onnxProto from 'onnx-proto';
import { ModelError } from '../../errors.ts';
import type { AnswerOutput } from '../../onnx-reader/answer-outputs.ts';
import { chooseOutput } from '../../onnx-reader/choose-output.ts';
import type { OnnxModelGraph as Graph, OnnxModel } from '../../onnx-reader/decode-onnx.ts';
import {
  listExternalFiles,
  type MovedPart,
  moveOwnParts,
  relocateExternalFiles,
} from '../../onnx-reader/external-weights.ts';
import { type ImageInput, readFacts } from '../../onnx-reader/inputs-and-outputs.ts';
import { describeSizes, ELEMENT } from '../../onnx-reader/ports.ts';
import { normalizationOf } from '../../spec/normalization.ts';
import type { PreparedOutput } from '../../spec/output-spec.ts';
import type { ModelSpec } from '../../spec/spec.ts';
import { encodeNode, encodePort, encodeTensor } from '../graph/encode-onnx.ts';
import { BATCH } from '../graph/graph.ts';
import { outputPort } from '../output-port.ts';
import { backNodes, createChain, frontNodes, type Part, PREFIX } from './front-and-back.ts';
import { checkActivation, findOutput } from './named-outputs.ts';
import { keepPoolPadding } from './pool-padding.ts';

const { onnx } = onnxProto;
/** The new name of a value. */
type Rename = (name: string) => string;
type InnerGraph = NonNullable<ReturnType<typeof onnx.GraphProto.create>>;

/** The file's own input and output in the wrapped graph. */
const INPUT = `${PREFIX}input`;
const OUTPUT = `${PREFIX}output`;
/** The first whose initializers are constants; in older files each is an input, too, which keeps engines from folding it. */
const MIN_IR_VERSION = 4;

/** ONNX' numbers of the element types of named outputs. */
const ELEMENT_OF = { float32: ELEMENT.float, int32: ELEMENT.int32, uint8: ELEMENT.uint8 } as const;

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
  const externalFiles = listExternalFiles(model).map((from, i) => ({ from, to: `weights-${i}.bin` }));
  const { input, outputs, opset } = readFacts(decoded, options.file, spec.input);
  checkInput(input, spec);
  const named = (options.outputs ?? []).map((declared) => ({ declared, found: findOutput(outputs, declared) }));
  const output = options.labelCount === 0 ? undefined : answerOutput(outputs, spec, options.outputs);
  if (output) checkActivation(output, spec.output.activation, 'output.activation');
  const { activation } = spec.output;
  const isBinary = output !== undefined && options.labelCount === 2 && becomesTwo(output, activation);
  const classCount = output ? (isBinary ? 2 : output.classCount) : 0;
  const ownWeights = moveOwnParts(model, OWN_WEIGHTS);
  relocateExternalFiles(model, new Map(externalFiles.map(({ from, to }) => [from, to])));
  const renamed = chooseNames(input, output);
  rename(graph, renamed);
  keepPoolPadding(graph, opset, `${PREFIX}pool`);
  const backs = named.map(({ declared, found }, i) => namedBack({ input, opset }, declared, found, renamed, i));
  if (output) {
    const conversion = { from: output.type, to: ELEMENT.float, activation, isBinary, opset };
    const ending = { prefix: 'back', source: OUTPUT, target: 'probabilities', sizes: output.sizes };
    backs.unshift(backNodes(input, ending, conversion));
  }
  if (output && options.rawOutput !== undefined) backs.push(createChain(OUTPUT, 'raw').end(options.rawOutput));
  addNodes(graph, frontNodes(input, spec, INPUT), backs);
  declarePorts(graph, input, spec, output && { output, classCount }, options);
  model.irVersion = Math.max(Number(model.irVersion), MIN_IR_VERSION);
  return { bytes: onnx.ModelProto.encode(model).finish(), classCount, externalFiles, ownWeights };
}

/** New names for the values that the wrapper is connected to, or that have the wrapper's names. */
function chooseNames(input: ImageInput, output: AnswerOutput | undefined): Rename {
  return (name) => {
    if (name === input.name) return INPUT;
    if (name === output?.name) return OUTPUT;
    // A file that was wrapped before has the wrapper's names.
    const isTaken = name === 'image' || name === 'probabilities' || name.startsWith(PREFIX);
    return isTaken ? `${PREFIX}own_${name}` : name;
  };
}

/** From the file's output to one that the spec names. */
function namedBack(
  { input, opset }: { input: ImageInput; opset: number },
  declared: PreparedOutput,
  found: AnswerOutput,
  renamed: Rename,
  index: number,
): Part {
  const source = renamed(found.name);
  const ending = { prefix: `output${index}_`, source, target: outputPort(declared.name), sizes: found.sizes };
  const isOfTwo = declared.type === 'labels' && declared.classCount === 2;
  return backNodes(input, ending, {
    from: found.type,
    to: declared.type === 'tensor' ? ELEMENT_OF[declared.dtype] : ELEMENT.float,
    activation: declared.type === 'labels' ? declared.activation : undefined,
    isBinary: isOfTwo && becomesTwo(found, declared.activation ?? 'softmax'),
    opset,
  });
}

/** Whether one number per image becomes two classes. If the file does not say how many there are, only a sigmoid's may be one. */
function becomesTwo(
  { classCount }: AnswerOutput,
  activation: ModelSpec['output']['activation'],
): boolean | 'if it is one' {
  if (classCount !== undefined) return classCount === 1;
  return activation === 'sigmoid' || activation === 'logits-sigmoid' ? 'if it is one' : false;
}

function addNodes(graph: Graph, front: Part, backs: readonly Part[]): void {
  const after = backs.flatMap(({ nodes }) => nodes.map(encodeNode));
  graph.node = [...front.nodes.map(encodeNode), ...graph.node, ...after] as Graph['node'];
  const constants = [front, ...backs].flatMap(({ constants }) => constants);
  graph.initializer.push(...(constants.map(([name, tensor]) => encodeTensor(name, tensor)) as Graph['initializer']));
}

/** Declares the graph's input and outputs. @param answer the output with the labels; undefined for a model without labels */
function declarePorts(
  graph: Graph,
  input: ImageInput,
  spec: ModelSpec,
  answer: { output: AnswerOutput; classCount: number | undefined } | undefined,
  { outputs = [], rawOutput }: WrapOptions,
): void {
  const { width, height, channels } = spec.input;
  const batch = input.batch ?? BATCH;
  const image = { name: 'image', type: 'uint8', shape: [batch, height, width, channels] } as const;
  graph.input = [encodePort(image)] as Graph['input'];
  const probabilities = answer
    ? [{ name: 'probabilities', type: 'float32', shape: [batch, answer.classCount ?? -2] } as const]
    : [];
  const named = outputs.map((declared) => ({
    name: outputPort(declared.name),
    type: dtypeOf(declared),
    shape: [batch, elementsOf(declared)],
  }));
  graph.output = [...probabilities, ...named].map(encodePort) as Graph['output'];
  if (!answer || rawOutput === undefined) return;
  // Its shape is what a caller wants to know.
  const raw = { name: rawOutput, type: { tensorType: { elemType: answer.output.type } } };
  graph.output.push(raw as Graph['output'][number]);
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
function rename(graph: InnerGraph, renamed: Rename): void {
  for (const node of graph.node ?? []) {
    // Nodes' names are for people, and the wrapper's must not collide with them.
    node.name = '';
    node.input = (node.input ?? []).map(renamed);
    node.output = (node.output ?? []).map(renamed);
    for (const { g, graphs } of node.attribute ?? []) {
      for (const inner of [g, ...(graphs ?? [])]) if (inner) rename(inner as InnerGraph, renamed);
    }
  }
  for (const tensor of graph.initializer ?? []) tensor.name = renamed(tensor.name ?? '');
  for (const { values } of graph.sparseInitializer ?? []) if (values) values.name = renamed(values.name ?? '');
  for (const port of [...(graph.input ?? []), ...(graph.output ?? []), ...(graph.valueInfo ?? [])]) {
    port.name = renamed(port.name ?? '');
  }
}
