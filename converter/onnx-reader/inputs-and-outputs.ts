import type { onnx } from 'onnx-proto';
import { ModelError } from '../errors.ts';
import { KERAS_EXPORT, ONE_IMAGE, TF2ONNX_COMMAND } from '../export-advice.ts';
import { readConstants } from './constants.ts';
import type { OnnxModel, OnnxModelGraph } from './decode-onnx.ts';
import { type GraphEnding, readEnding } from './final-activation.ts';
import { completeSizes, type ImageShape, type MissingDimension, shapeRows } from './image-shape.ts';
import { type InputTrace, type Layout, traceInput } from './input-trace.ts';
import { findFront, type ModelFront } from './model-front.ts';
import { type CalibratedRange, exposeFloats, readCalibratedRange, type ValueRange } from './quantized-ports.ts';
import { refuseTraining } from './training-mode.ts';

/** ONNX' numbers of the element types that images and answers may have. */
export const ELEMENT = { float: 1, uint8: 2, int32: 6, int64: 7, half: 10, double: 11 } as const;
/** Of outputs: whole numbers and floats; not texts, lists and maps. */
export const NUMBER_TYPES: ReadonlySet<number> = new Set([...Object.values(ELEMENT), 3, 9]);
const IMAGE_TYPES: Record<number, string> = {
  1: 'float32',
  2: 'uint8',
  6: 'int32',
  7: 'int64',
  10: 'float16',
  11: 'float64',
};
/** Its number in ONNX. */
const BFLOAT16 = 16;
/** What to do about images and operators of other types. */
export const EXPORT_AS_FLOAT32 = 'export it again in float32 (in PyTorch after model.float())';
const ANSWER_TYPES = new Set<number>([ELEMENT.float, ELEMENT.half, ELEMENT.double]);
/** As Keras 3 names inputs that their maker did not name. */
const KERAS_INPUT = /^(keras_tensor|input_layer)(_\d+)?$/;
/** The first whose arithmetic broadcasts. */
const MIN_OPSET = 7;

/** One input or output. */
export interface Port {
  name: string;
  type: number;
  /** Undefined for an unknown rank; a size is undefined if the file leaves it open. */
  sizes: (number | undefined)[] | undefined;
  /** The names of open sizes, such as `batch`. */
  sizeNames: (string | undefined)[];
}

export interface ImageInput extends Port {
  typeName: string;
  /** Undefined if the file leaves it open. */
  batch: number | undefined;
  width: number | undefined;
  height: number | undefined;
  channels: number | undefined;
  layout: Layout;
  /** False if the file does not say, so that `nchw` is a guess. */
  layoutIsCertain: boolean;
  /** What the file's input does not have: it takes a single image, gray images without channels, or rows of pixels. */
  without: MissingDimension | undefined;
}

export interface AnswerOutput extends Port {
  /** Undefined if the file leaves it open. */
  classCount: number | undefined;
  ending: GraphEnding;
  /** Why it cannot be the scores of classes; undefined if it can. */
  unfit: string | undefined;
}

export interface OnnxFacts {
  opset: number;
  input: ImageInput;
  outputs: AnswerOutput[];
  trace: InputTrace;
  /** Undefined if it does nothing before its first weights. */
  front: ModelFront | undefined;
  /** The values that a quantized input stands for. */
  range: ValueRange | undefined;
  /** The values that its images had when it was quantized, if it takes floats. */
  calibrated: CalibratedRange | undefined;
  /** The tool that wrote it; may be empty. Keras' backend for PyTorch counts as Keras. */
  producer: string;
  /** Of operators. Exporters keep the names of layers in them. */
  nodeNames: string[];
  /** What its maker wrote into the file. */
  metadata: ReadonlyMap<string, string>;
  /** What its maker wrote about it, in one line. */
  description: string;
}

/**
 * Reads from an ONNX file what a classifier's spec must say. A quantized one gets a float input and float outputs.
 * @param file the ONNX file, if its weights, or files with external data next to it, are to be read
 * @param given the image's shape as a spec or a user says it, if the file does not
 * @throws ModelError SOURCE_INVALID for what is not a classifier of images
 */
export function readFacts(
  { model, graph }: { model: OnnxModel; graph: OnnxModelGraph },
  file?: string,
  given: ImageShape = {},
): OnnxFacts {
  const opset = Number(model.opsetImport.find(({ domain }) => !domain || domain === 'ai.onnx')?.version ?? 0);
  if (opset < MIN_OPSET) {
    throw new ModelError(
      'SOURCE_INVALID',
      `the ONNX file has opset ${opset}: export it again with opset ${MIN_OPSET} or later (17 suits most tools)`,
    );
  }
  const constantOf = readConstants(graph, file);
  const range = exposeFloats(graph, constantOf);
  const { port, without } = imagePort(graph, given);
  refuseTraining({ model, graph });
  refuseCalls(graph);
  const convolution = { layout: 'nchw', channelsAxis: 1 } as const;
  const traced = { nodes: graph.node.map(toTraceNode), constantOf, sizes: port.sizes, convolution };
  const trace = traceInput(traced, port.name);
  const isSingle = without === 'batch' || port.sizes?.[0] === 1;
  return {
    opset,
    input: { ...toImageInput(port, trace, given.layout, without), without },
    outputs: (graph.output as onnx.IValueInfoProto[]).map(toPort).map((output) => toAnswer(output, graph, isSingle)),
    trace,
    front: findFront(traced, port.name),
    range,
    calibrated: range ? undefined : readCalibratedRange(graph, port.name, constantOf),
    producer: KERAS_INPUT.test(port.name) ? 'keras' : (model.producerName ?? ''),
    nodeNames: graph.node.map(({ name }) => name ?? ''),
    metadata: new Map((model.metadataProps ?? []).map(({ key, value }) => [key ?? '', value ?? ''])),
    description: (graph.docString || model.docString || '').replaceAll(/\s+/g, ' ').trim(),
  };
}

/** @throws ModelError SOURCE_INVALID for a call of one of TensorFlow's functions, which is not in the file */
function refuseCalls(graph: OnnxModelGraph): void {
  const call = graph.node.find(({ opType, domain }) => !domain && /^(Stateful)?PartitionedCall$/.test(opType ?? ''));
  if (!call) return;
  throw new ModelError(
    'SOURCE_INVALID',
    `the ONNX file calls a function of TensorFlow that its exporter left out (${call.opType}, as of a grouped convolution): ` +
      'add the .keras or .h5 file itself. If that was refused, call tf.config.run_functions_eagerly(True) before ' +
      `${KERAS_EXPORT}, which writes the function's content, and convert again: ${TF2ONNX_COMMAND}`,
  );
}

function toTraceNode({ opType, input, output, attribute, domain }: onnx.INodeProto) {
  const attributeOf = (wanted: string) => attribute?.find(({ name }) => name === wanted);
  return {
    op: opType ?? '',
    inputs: input ?? [],
    outputs: output ?? [],
    domain: domain === 'ai.onnx' ? '' : (domain ?? ''),
    perm: attributeOf('perm')?.ints?.map(Number),
    epsilon: attributeOf('epsilon')?.f ?? undefined,
  };
}

function toPort({ name, type }: onnx.IValueInfoProto): Port {
  const dims = type?.tensorType?.shape?.dim;
  return {
    name: name ?? '',
    type: type?.tensorType?.elemType ?? 0,
    sizes: dims?.map(({ dimValue }) => Number(dimValue ?? 0) || undefined),
    sizeNames: dims?.map(({ dimParam }) => dimParam || undefined) ?? [],
  };
}

function imagePort(graph: OnnxModelGraph, given: ImageShape): { port: Port; without: MissingDimension | undefined } {
  const constants = new Set(graph.initializer.map(({ name }) => name));
  const ports = (graph.input as onnx.IValueInfoProto[]).filter(({ name }) => !constants.has(name)).map(toPort);
  const [port, ...others] = ports;
  if (!port || others.length > 0) {
    const names = ports.map(({ name }) => name).join(', ') || 'none';
    // A tensor inside TensorFlow's graph is not an input of the model: the exporter did not write what it holds.
    const lost = others.filter(({ name }) => /\/.*:\d+$/.test(name)).map(({ name }) => name);
    if (lost.length > 0)
      throw new ModelError(
        'SOURCE_INVALID',
        `the ONNX file lacks constants of the model, which its exporter left out: ${lost.join(', ')}; add the .keras or .h5 file ` +
          `itself. If that was refused, call ${KERAS_EXPORT}, and convert it: ${TF2ONNX_COMMAND}`,
      );
    const way = others.length > 0 ? `; ${ONE_IMAGE}` : '';
    throw new ModelError('SOURCE_INVALID', `the ONNX file must have one input, an image; it has: ${names}${way}`);
  }
  const completed = completeSizes(port.sizes) ?? shapeRows(port.sizes, given);
  if (!completed) throw notAnImage(port);
  if (IMAGE_TYPES[port.type] === undefined) {
    const types = Object.values(IMAGE_TYPES).join(', ');
    const type = port.type === BFLOAT16 ? 'bfloat16' : `element type ${port.type}`;
    throw new ModelError(
      'SOURCE_INVALID',
      `the ONNX file's input ${port.name} is of ${type}: expected ${types}; ${EXPORT_AS_FLOAT32}`,
    );
  }
  return { port: { ...port, sizes: completed.sizes }, without: completed.without };
}

function notAnImage({ name, sizes }: Port): ModelError {
  const expected = 'batch x channels x height x width, of which batch or channels may be missing';
  const count = sizes?.length === 2 ? sizes[1] : undefined;
  const way =
    count === undefined
      ? ''
      : `; if these are the ${count} values of an image in a row, pass its size as --width, --height and --channels`;
  return new ModelError(
    'SOURCE_INVALID',
    `the ONNX file takes ${describeSizes(sizes)} as its input ${name}, which is not an image (${expected})${way}; models of tables and texts, such as most pipelines of scikit-learn, are not served`,
  );
}

/** Such as `? x 3 x 224 x 224`. */
export function describeSizes(sizes: readonly (number | undefined)[] | undefined): string {
  return sizes === undefined ? 'an open shape' : sizes.map((size) => size ?? '?').join(' x ') || 'a single number';
}

function toImageInput(
  port: Port,
  trace: InputTrace,
  given: Layout | undefined,
  without: MissingDimension | undefined,
): Omit<ImageInput, 'without'> {
  const { sizes = [undefined, undefined, undefined, undefined], sizeNames } = port;
  const found = given ?? layoutOf(sizes, sizeNames, trace, without);
  // Most libraries that take rows have the channels last.
  const layout = found ?? (without === 'shape' ? 'nhwc' : 'nchw');
  const [channels, height, width] = layout === 'nchw' ? [1, 2, 3] : [3, 1, 2];
  return {
    ...port,
    typeName: IMAGE_TYPES[port.type] ?? '',
    batch: sizes[0],
    width: sizes[width ?? 0],
    height: sizes[height ?? 0],
    channels: sizes[channels ?? 0] ?? trace.channels,
    layout,
    layoutIsCertain: found !== undefined,
  };
}

function layoutOf(
  sizes: readonly (number | undefined)[],
  names: Port['sizeNames'],
  trace: InputTrace,
  without: MissingDimension | undefined,
): Layout | undefined {
  // Rows do not show where the channels of color images are.
  if (without === 'shape') return sizes[3] === 1 ? 'nhwc' : undefined;
  return trace.layout ?? layoutOfSizes(sizes) ?? layoutOfNames(names);
}

function layoutOfSizes([, second, , fourth]: readonly (number | undefined)[]): Layout | undefined {
  const isChannels = (size: number | undefined) => size === 1 || size === 3 || size === 4;
  if (isChannels(second) === isChannels(fourth)) return undefined;
  return isChannels(second) ? 'nchw' : 'nhwc';
}

function layoutOfNames([, second, , fourth]: readonly (string | undefined)[]): Layout | undefined {
  const isChannels = (name: string | undefined) => /^(c|((num|in)_?)?channels?)$/i.test(name ?? '');
  if (isChannels(second) === isChannels(fourth)) return undefined;
  return isChannels(second) ? 'nchw' : 'nhwc';
}

function toAnswer(port: Port, graph: OnnxModelGraph, isSingle: boolean): AnswerOutput {
  const { sizes } = port;
  // A model of a single image may give a row without a batch.
  const inner = isSingle && sizes?.length === 1 ? sizes : sizes?.slice(1);
  const known = inner?.every((size) => size !== undefined) ? inner.map(Number) : undefined;
  // [batch] alone is one number per image.
  const classCount = known?.reduce((a, b) => a * b, 1);
  const ending = readEnding(graph.node, port.name);
  const isBest = ending.op === 'TopK' || (ending.op === 'ReduceMax' && classCount === 1);
  const unfit = isBest ? 'gives the best scores only, and not those of all classes' : whyUnfit(port, known, ending);
  return { ...port, classCount, ending, unfit };
}

function whyUnfit({ type, sizes }: Port, inner: number[] | undefined, { op }: GraphEnding): string | undefined {
  if (type === 0)
    return "is a list or a map, as scikit-learn's zipmap writes (skl2onnx's options={'zipmap': False} gives the scores instead)";
  if (!ANSWER_TYPES.has(type))
    return 'gives whole numbers, such as the number of the best class, and not the scores of all classes';
  if (inner && inner.filter((size) => size > 1).length > 1) {
    const what = inner.length === 3 ? 'a mask (segmentation) or a map of features' : 'boxes (detection) or features';
    return `gives ${describeSizes(sizes)} numbers, which are ${what} and not a score per class`;
  }
  // Their softmax is another answer, and their sigmoid too.
  if (op === 'LogSigmoid')
    return 'gives the logarithms of sigmoids (LogSigmoid); without this last step it can be added with --activation logits-sigmoid';
  // As floats, which could be taken for a score.
  return op === 'ArgMax' ? 'gives the number of the best class, and not the scores of all classes' : undefined;
}
