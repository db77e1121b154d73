import type { onnx } from 'onnx-proto';
import { ModelError } from '../errors.ts';
import { KERAS_EXPORT, ONE_IMAGE, TF2ONNX_COMMAND } from '../export-advice.ts';
import { type AnswerOutput, toAnswer } from './answer-outputs.ts';
import { readConstants } from './constants.ts';
import type { OnnxModel, OnnxModelGraph } from './decode-onnx.ts';
import {
  completeSizes,
  type ImageShape,
  layoutOfNames,
  layoutOfSizes,
  type MissingDimension,
  shapeRows,
} from './image-shape.ts';
import { innerGraphs, valuesRead } from './inner-graphs.ts';
import { type InputTrace, type Layout, type TraceNode, traceInput } from './input-trace.ts';
import { findFront, type ModelFront } from './model-front.ts';
import { describeSizes, type Port, toPort } from './ports.ts';
import { type CalibratedRange, exposeFloats, readCalibratedRange, type ValueRange } from './quantized-ports.ts';
import { refuseTraining } from './training-mode.ts';

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
/** As Keras 3 names inputs that their maker did not name. */
const KERAS_INPUT = /^(keras_tensor|input_layer)(_\d+)?$/;
/** The first whose arithmetic broadcasts. */
const MIN_OPSET = 7;

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
  const outputs = graph.output.map(({ name }) => name ?? '');
  const traced = { nodes: graph.node.map(toTraceNode), constantOf, outputs, sizes: port.sizes, convolution };
  const trace = traceInput(traced, port.name);
  const batch = without === 'batch' ? 1 : port.sizes?.[0];
  return {
    opset,
    input: { ...toImageInput(port, trace, given.layout, without), without },
    outputs: (graph.output as onnx.IValueInfoProto[]).map(toPort).map((output) => toAnswer(output, graph, batch)),
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

function toTraceNode(node: onnx.INodeProto): TraceNode {
  const { opType, output, attribute, domain } = node;
  const attributeOf = (wanted: string) => attribute?.find(({ name }) => name === wanted);
  return {
    op: opType ?? '',
    inputs: valuesRead(node),
    outputs: output ?? [],
    domain: domain === 'ai.onnx' ? '' : (domain ?? ''),
    perm: attributeOf('perm')?.ints?.map(Number),
    epsilon: attributeOf('epsilon')?.f ?? undefined,
    group: Number(attributeOf('group')?.i ?? 1),
    inner: innerGraphs(node).map((inner) => ({
      nodes: (inner.node ?? []).map(toTraceNode),
      inputs: (inner.input ?? []).map(({ name }) => name ?? ''),
      outputs: (inner.output ?? []).map(({ name }) => name ?? ''),
    })),
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
  if (port.type === 0) {
    const what = 'which is a list, a map or optional: expected a tensor with an image';
    throw new ModelError('SOURCE_INVALID', `the ONNX file takes ${port.name}, ${what}; ${ONE_IMAGE}`);
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
