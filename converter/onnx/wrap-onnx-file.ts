import onnxProto from 'onnx-proto';
import { ModelError } from '../errors.ts';
import { normalizationOf } from '../normalization.ts';
import { readEnding } from '../onnx-file/activation.ts';
import { decodeOnnx, type OnnxModelGraph as Graph } from '../onnx-file/model-file.ts';
import type { ModelSpec } from '../spec.ts';
import { BATCH, floatTensor, int64Tensor, type OnnxNode } from './graph.ts';
import { encodeNode, encodePort, encodeTensor } from './write.ts';

const { onnx } = onnxProto;

const FLOAT = onnx.TensorProto.DataType.FLOAT;
const UINT8 = onnx.TensorProto.DataType.UINT8;
/** Broadcasting as the nodes in front need it. */
const MIN_OPSET = 9;
const PREFIX = 'inferql_';

/** Changes whenever the files that `wrapOnnx` writes, or refuses to write, change. */
export const WRAPPER_VERSION = 1;

export interface WrappedModel {
  bytes: Uint8Array;
  /** Undefined where the file does not say. */
  classCount: number | undefined;
}

/**
 * Gives an ONNX classifier the interface of a converted one: uint8 images in, probabilities out. Its own nodes stay.
 * @throws ModelError SOURCE_INVALID, SPEC_INVALID
 */
export function wrapOnnx(file: Uint8Array, spec: ModelSpec): WrappedModel {
  const { model, graph } = decodeOnnx(file);
  const opset = model.opsetImport.find(({ domain }) => !domain)?.version ?? 0;
  if (Number(opset) < MIN_OPSET) {
    throw new ModelError('SOURCE_INVALID', `the ONNX file is of opset ${opset}, at least ${MIN_OPSET} is needed`);
  }
  const input = imageInput(graph, spec);
  const output = chooseOutput(graph, spec);
  checkActivation(graph, output, spec);
  const inputName = `${PREFIX}input`;
  const outputName = `${PREFIX}output`;
  const taken = ['image', 'probabilities'].map((name) => [name, `${PREFIX}own_${name}`] as const);
  rename(graph, new Map([...taken, [input.name, inputName], [output.name, outputName]]));
  const front = frontNodes(input, spec, inputName);
  const back = backNodes(spec, outputName);
  const { width, height, channels } = spec.input;
  graph.node = [...front.nodes.map(encodeNode), ...graph.node, ...back.map(encodeNode)] as Graph['node'];
  graph.initializer.push(
    ...(front.constants.map(([name, tensor]) => encodeTensor(name, tensor)) as Graph['initializer']),
  );
  const shape = [BATCH, height, width, channels];
  graph.input = graph.input.filter(({ name }) => name !== input.name) as Graph['input'];
  graph.input.push(encodePort({ name: 'image', type: 'uint8', shape }) as Graph['input'][0]);
  const classCount = output.sizes.at(-1);
  graph.output = [
    encodePort({ name: 'probabilities', type: 'float32', shape: [BATCH, classCount ?? -2] }),
  ] as Graph['output'];
  return { bytes: onnx.ModelProto.encode(model).finish(), classCount };
}

interface Port {
  name: string;
  type: number;
  /** Undefined for a size that the file leaves open. */
  sizes: (number | undefined)[];
}

function toPort({ name, type }: Graph['input'][0]): Port {
  const sizes = (type?.tensorType?.shape?.dim ?? []).map((dim) => Number(dim.dimValue ?? 0) || undefined);
  return { name: name ?? '', type: type?.tensorType?.elemType ?? 0, sizes };
}

interface ImagePort extends Port {
  channelsFirst: boolean;
}

function imageInput(graph: Graph, spec: ModelSpec): ImagePort {
  const constants = new Set(graph.initializer.map(({ name }) => name));
  const [port, ...others] = (graph.input as Graph['input'])
    .filter(({ name }) => !constants.has(name ?? ''))
    .map(toPort);
  if (!port || others.length > 0 || port.sizes.length !== 4 || (port.type !== FLOAT && port.type !== UINT8)) {
    throw new ModelError(
      'SOURCE_INVALID',
      'the ONNX file must have one input, an image of float32 or uint8 and four dimensions',
    );
  }
  const { width, height, channels } = spec.input;
  const [batch, ...sizes] = port.sizes;
  const fits = (order: number[]) => sizes.every((size, i) => size === undefined || size === order[i]);
  const channelsFirst = fits([channels, height, width]);
  if (!channelsFirst && !fits([height, width, channels])) {
    const found = sizes.map((size) => size ?? '?').join(' x ');
    throw new ModelError(
      'SPEC_INVALID',
      `input: the ONNX file takes images of ${found}, the spec says ${width} x ${height} x ${channels}`,
    );
  }
  if (batch !== undefined && (batch !== 1 || spec.batching.maxBatchSize !== 1)) {
    throw new ModelError(
      'SPEC_INVALID',
      `batching.maxBatchSize: expected 1, since the ONNX file takes batches of exactly ${batch}`,
    );
  }
  return { ...port, channelsFirst };
}

function chooseOutput(graph: Graph, spec: ModelSpec): Port {
  const ports = (graph.output as Graph['output']).map(toPort);
  const wanted = spec.output.name;
  const port = wanted === undefined ? ports[0] : ports.find(({ name }) => name === wanted);
  if (port) return port;
  const names = ports.map(({ name }) => name).join(', ');
  throw new ModelError('SPEC_INVALID', `output.name: expected one of ${names}, found ${wanted}`);
}

/** @throws ModelError SPEC_INVALID where a softmax or sigmoid would be applied to probabilities, or none to logits */
function checkActivation(graph: Graph, output: Port, spec: ModelSpec): void {
  const ending = readEnding(graph.node, output.name);
  if (!ending.certain || ending.activation === 'logits') return;
  const { activation } = spec.output;
  if (activation === 'softmax' || activation === 'sigmoid') return;
  throw new ModelError(
    'SPEC_INVALID',
    `output.activation: the ONNX file ends in ${ending.op} already: expected ${ending.activation}, found ${activation}`,
  );
}

/** Makes room for our names. Names inside control flow may refer to the outside, so that such models are refused. */
function rename(graph: Graph, names: ReadonlyMap<string, string>): void {
  const renamed = (name: string) => names.get(name) ?? name;
  for (const node of graph.node) {
    if (node.attribute?.some((attribute) => attribute.g || (attribute.graphs?.length ?? 0) > 0)) {
      throw new ModelError('SOURCE_INVALID', `the ONNX file has control flow (${node.opType}), which is not served`);
    }
    // Nodes' own names are for people, and ours must not meet them.
    node.name = '';
    node.input = (node.input ?? []).map(renamed);
    node.output = (node.output ?? []).map(renamed);
  }
  for (const tensor of graph.initializer) tensor.name = renamed(tensor.name ?? '');
}

function frontNodes(input: ImagePort, spec: ModelSpec, target: string) {
  const { mean, scale, reverseChannels } = normalizationOf(spec.input);
  const shape = input.channelsFirst ? [1, mean.length, 1, 1] : [1, 1, 1, mean.length];
  const axis = input.channelsFirst ? 1 : 3;
  const constants: [string, ReturnType<typeof floatTensor>][] = [];
  const nodes: OnnxNode[] = [];
  let last = 'image';
  const add = (op: string, attributes: OnnxNode['attributes'], constant?: ReturnType<typeof floatTensor>): void => {
    const name = `${PREFIX}${nodes.length}`;
    if (constant) constants.push([`${name}_c`, constant]);
    nodes.push({ op, inputs: constant ? [last, `${name}_c`] : [last], outputs: [name], attributes });
    last = name;
  };
  if (input.channelsFirst) add('Transpose', { perm: { ints: [0, 3, 1, 2] } });
  if (input.type === FLOAT) {
    add('Cast', { to: { int: FLOAT } });
    if (mean.some((value) => value !== 0)) add('Sub', {}, floatTensor(shape, mean));
    if (scale.some((value) => value !== 1)) add('Mul', {}, floatTensor(shape, scale));
    if (reverseChannels) add('Gather', { axis: { int: axis } }, int64Tensor(mean.map((_, i) => mean.length - 1 - i)));
  }
  nodes.push({ op: 'Identity', inputs: [last], outputs: [target], attributes: {} });
  return { nodes, constants };
}

function backNodes(spec: ModelSpec, source: string): OnnxNode[] {
  const flat = `${PREFIX}flat`;
  const last = { inputs: [flat], outputs: ['probabilities'] };
  const flatten: OnnxNode = { op: 'Flatten', inputs: [source], outputs: [flat], attributes: { axis: { int: 1 } } };
  switch (spec.output.activation) {
    case 'logits':
      return [flatten, { op: 'Softmax', ...last, attributes: { axis: { int: 1 } } }];
    case 'logits-sigmoid':
      return [flatten, { op: 'Sigmoid', ...last, attributes: {} }];
    default:
      return [flatten, { op: 'Identity', ...last, attributes: {} }];
  }
}
