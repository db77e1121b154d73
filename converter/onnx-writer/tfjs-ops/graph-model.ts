import { ModelError, ShapeMismatchError, UnsupportedOpError } from '../../errors.ts';
import { ONE_IMAGE } from '../../export-advice.ts';
import type { GraphDef, GraphNode, OutputRef } from '../../tfjs/graphdef.ts';
import type { Weight } from '../../tfjs/weights.ts';
import { BATCH } from '../graph/graph.ts';
import type { GraphBuilder, Value } from '../graph/graph-builder.ts';
import { computeConstant } from './constants.ts';
import { type NodeCall, requireAllRead } from './node-converter.ts';
import { NODES, TAKES_ROWS, TAKES_SEVERAL, TAKES_WHOLE_NUMBERS } from './op-table.ts';

/**
 * Writes the nodes that the given outputs of a graph need.
 * @param image the value of the graph's placeholder
 * @returns the values of the outputs
 * @throws UnsupportedOpError naming the op that is not covered
 */
export function convertGraph(
  builder: GraphBuilder,
  graph: GraphDef,
  weights: Map<string, Weight>,
  image: Value,
  outputs: readonly OutputRef[],
): Value[] {
  const done = new Map<string, Value[]>();
  const nodes = orderNodes(
    graph,
    outputs.map(({ node }) => node),
  );
  const placeholders = nodes.filter(({ op }) => op === 'Placeholder');
  if (placeholders.length > 1) {
    const names = placeholders.map(({ name }) => name).join(', ');
    throw new ModelError('TOPOLOGY_INVALID', `the model has several inputs (${names}): ${ONE_IMAGE}`);
  }
  for (const placeholder of placeholders) requireFloats(nodes, placeholder);
  const isSingle = placeholders[0]?.attributes.shape('shape')?.[0] === 1;
  for (const node of nodes) {
    const inputs = node.inputs.map((ref) => outputOf(done, ref));
    const { name, op, attributes } = node;
    const call = { builder, name, op, inputs, attributes, isSingle, read: new Set<number>() };
    done.set(node.name, convertNode(call, node, weights, image));
  }
  return outputs.map((output) => {
    const value = outputOf(done, output);
    if (!hasRows(value)) return value;
    const op = graph.nodes.get(output.node)?.op ?? '';
    throw new UnsupportedOpError(op, `node ${output.node}, whose images are not in a dimension each`);
  });
}

const FLOAT_TYPES = new Set(['DT_FLOAT', 'DT_HALF', 'DT_DOUBLE', 'DT_BFLOAT16']);
/** Ops whose results are some of the numbers that they get. */
const MOVE_NUMBERS = new Set([
  ...['ExpandDims', 'Gather', 'GatherV2', 'Identity', 'Reshape', 'ResizeNearestNeighbor', 'ReverseV2'],
  ...['Slice', 'Squeeze', 'StridedSlice', 'Transpose'],
]);
const MAKE_FLOATS = new Set(['Cast', 'ResizeBilinear', 'Shape']);

/**
 * The image is floats here, whatever the placeholder's type is.
 * @param nodes each after its inputs
 * @throws UnsupportedOpError naming a node that would compute in whole numbers
 */
function requireFloats(nodes: readonly GraphNode[], { name, attributes }: GraphNode): void {
  const type = attributes.type('dtype');
  if (FLOAT_TYPES.has(type)) return;
  const whole = new Set([name]);
  for (const node of nodes) {
    if (!node.inputs.some((ref) => whole.has(ref.node)) || MAKE_FLOATS.has(node.op)) continue;
    if (!MOVE_NUMBERS.has(node.op))
      throw new UnsupportedOpError(node.op, `node ${node.name}, of whole numbers (${type})`);
    whole.add(node.name);
  }
}

function outputOf(done: Map<string, Value[]>, { node, output }: OutputRef): Value {
  const value = done.get(node)?.[output];
  if (!value) throw new ModelError('TOPOLOGY_INVALID', `node ${node} has no output ${output}`);
  return value;
}

/** The nodes that outputs need, each after its inputs. */
function orderNodes(graph: GraphDef, outputs: readonly string[]): GraphNode[] {
  const ordered: GraphNode[] = [];
  const state = new Map<string, 'open' | 'done'>();
  const stack = [...outputs];
  for (let name = stack.at(-1); name !== undefined; name = stack.at(-1)) {
    const node = graph.nodes.get(name);
    if (!node) throw new ModelError('TOPOLOGY_INVALID', `node ${name} is not in the graph`);
    const missing = node.inputs.map((ref) => ref.node).filter((input) => state.get(input) !== 'done');
    if (state.get(name) === 'done' || missing.length === 0) {
      if (state.get(name) !== 'done') ordered.push(node);
      state.set(name, 'done');
      stack.pop();
      continue;
    }
    if (state.get(name) === 'open') throw new UnsupportedOpError('a loop', `node ${name}`);
    state.set(name, 'open');
    stack.push(...missing);
  }
  return ordered;
}

function convertNode(call: NodeCall, node: GraphNode, weights: Map<string, Weight>, image: Value): Value[] {
  const { builder, inputs } = call;
  if (node.op === 'Placeholder') {
    return [shapeImage(builder, node, image)];
  }
  if (node.op === 'PlaceholderWithDefault') return inputs;
  if (node.op === 'Const') {
    const weight = weights.get(node.name);
    if (!weight) throw new ModelError('WEIGHTS_INVALID', `weight ${node.name} is missing`);
    const type = weight.data instanceof Float32Array ? 'float32' : 'int32';
    return [builder.constant({ type, shape: weight.shape, data: weight.data })];
  }
  try {
    return convertOperation(call);
  } catch (error) {
    if (!(error instanceof ModelError) || error instanceof UnsupportedOpError) throw error;
    // Another engine may know better what the node does.
    if (error instanceof ShapeMismatchError)
      throw new UnsupportedOpError(node.op, `node ${node.name}: ${error.message}`);
    if (error.message.includes(node.name)) throw error;
    throw new ModelError(error.code, `node ${node.name} (${node.op}): ${error.message}`, { cause: error });
  }
}

function convertOperation(call: NodeCall): Value[] {
  const known = computeConstant(call);
  if (known) return [known];
  const convert = Object.hasOwn(NODES, call.op) ? NODES[call.op] : undefined;
  if (!convert) throw new UnsupportedOpError(call.op, `node ${call.name}`);
  if (call.inputs.some((input) => hasRows(input) && !takes(call.op, input))) {
    throw new UnsupportedOpError(call.op, `node ${call.name}, of the rows of several images`);
  }
  const whole = call.inputs.find((input) => input.type !== 'float32' && !call.builder.tensorOf(input));
  if (whole && !TAKES_WHOLE_NUMBERS.has(call.op)) {
    throw new UnsupportedOpError(call.op, `node ${call.name}, of ${whole.type}`);
  }
  const results = convert(call);
  requireAllRead(call);
  return Array.isArray(results) ? results : [results];
}

function takes(op: string, { shape }: Value): boolean {
  return shape.slice(1).some((size) => size < 0) ? TAKES_ROWS.has(op) : TAKES_SEVERAL.has(op);
}

/** Whether images are not in a dimension each, but behind each other, as [-64, 32] for 64 rows per image. */
function hasRows({ shape }: Value): boolean {
  return shape.some((size, axis) => size < 0 && (axis > 0 || size !== BATCH));
}

/**
 * The image in the shape that the graph takes: some omit the single channel of gray images, or take all pixels in a row.
 * @throws ModelError SPEC_INVALID if the graph has another size than the spec
 */
function shapeImage(builder: GraphBuilder, node: GraphNode, image: Value): Value {
  const said = node.attributes.shape('shape');
  if (said === undefined || said.length === 0) return image;
  const [batch = 1, height = 1, width = 1, channels = 1] = image.shape;
  const row = height * width * channels;
  const shape = [[batch, row], channels === 1 ? [batch, height, width] : [], image.shape][said.length - 2] ?? [];
  const fits = said.slice(1).every((size, i) => size < 0 || size === shape[i + 1]);
  if (shape.length === said.length && fits) return builder.reshape(image, shape);
  throw new ModelError(
    'SPEC_INVALID',
    `input: the model takes images of ${said.slice(1).join(' x ')} (height x width x channels, -1 is open), ` +
      `the spec says ${height} x ${width} x ${channels}`,
  );
}
