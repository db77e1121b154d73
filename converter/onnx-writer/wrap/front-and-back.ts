/** The operators before and behind a wrapped ONNX graph: from uint8 images to its input, and from its outputs to rows of values. */
import type { ImageInput } from '../../onnx-reader/inputs-and-outputs.ts';
import { ELEMENT, type Sizes } from '../../onnx-reader/ports.ts';
import { normalizationOf } from '../../spec/normalization.ts';
import type { ModelSpec } from '../../spec/spec.ts';
import { floatTensor, int64Tensor, type OnnxNode, type Tensor } from '../graph/graph.ts';

/** Of the wrapper's names. */
export const PREFIX = 'inferql_';

/** Operators in their order, and the constants that they read. */
export interface Part {
  nodes: OnnxNode[];
  constants: [string, Tensor][];
}

/** A chain of operators from one value to another; each may have another value or a constant behind its input. */
export function createChain(source: string, prefix: string) {
  const part: Part = { nodes: [], constants: [] };
  let last = source;
  return {
    part,
    add(op: string, attributes: OnnxNode['attributes'] = {}, second?: Tensor | string): string {
      const name = `${PREFIX}${prefix}${part.nodes.length}`;
      if (second !== undefined && typeof second !== 'string') part.constants.push([`${name}_c`, second]);
      const behind = second === undefined ? [] : [typeof second === 'string' ? second : `${name}_c`];
      part.nodes.push({ op, inputs: [last, ...behind], outputs: [name], attributes });
      last = name;
      return name;
    },
    end(target: string): Part {
      part.nodes.push({ op: 'Identity', inputs: [last], outputs: [target], attributes: {} });
      return part;
    },
  };
}

/** From the images, uint8, to what the file takes. */
export function frontNodes(input: ImageInput, spec: ModelSpec, target: string): Part {
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

/** The shape of a file's input of two or three dimensions. */
function shapeWithout({ without, layout, batch }: ImageInput, { input }: ModelSpec): number[] {
  const { height, width, channels } = input;
  if (without === 'shape') return [batch ?? -1, height * width * channels];
  if (without === 'channels') return [batch ?? -1, height, width];
  return layout === 'nchw' ? [channels, height, width] : [height, width, channels];
}

interface Ending {
  /** Of the names of its values. */
  prefix: string;
  source: string;
  target: string;
  /** Of the source. */
  sizes: Sizes;
}

interface Conversion {
  /** Element types. */
  from: number;
  to: number;
  /** Undefined: the values as they are. */
  activation: ModelSpec['output']['activation'] | undefined;
  /** One number per image becomes two classes. */
  isBinary: boolean | 'if it is one';
  opset: number;
}

/** The first whose Slice takes its bounds as inputs. */
const WITH_SLICE_INPUTS = 10;

/** From the file's output to a row of values per image. */
export function backNodes(
  input: ImageInput,
  { prefix, source, target, sizes }: Ending,
  { from, to, ...answer }: Conversion,
): Part {
  const chain = createChain(source, prefix);
  const { part } = chain;
  const constant = (name: string, tensor: Tensor): string => {
    part.constants.push([`${PREFIX}${prefix}_${name}`, tensor]);
    return `${PREFIX}${prefix}_${name}`;
  };
  // A file of a fixed batch may have squeezed the batch's dimension away.
  if (input.batch !== undefined) chain.add('Reshape', {}, int64Tensor([input.batch, -1]));
  else if (sizes !== undefined && sizes.length > 1) chain.add('Flatten', { axis: { int: 1 } });
  else {
    // So may one of an open batch, for a single image.
    const count = createChain('image', `${prefix}_count`);
    count.add('Shape');
    count.add('Gather', { axis: { int: 0 } }, int64Tensor([0]));
    const shape = count.add('Concat', { axis: { int: 0 } }, int64Tensor([-1]));
    part.nodes.push(...count.part.nodes);
    part.constants.push(...count.part.constants);
    chain.add('Reshape', {}, shape);
  }
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
  const one = constant('one', floatTensor([1], [1]));
  const [other, both] = [`${PREFIX}${prefix}_other`, `${PREFIX}${prefix}_both`];
  const isSure = answer.isBinary === true;
  part.nodes.push({ op: 'Sub', inputs: [one, last], outputs: [other], attributes: {} });
  const joined = {
    op: 'Concat',
    inputs: [other, last],
    outputs: [isSure ? target : both],
    attributes: { axis: { int: 1 } },
  };
  part.nodes.push(joined);
  if (isSure) return part;
  // The last two: of two numbers per image, the numbers themselves.
  const [start, end, axis] = [[-2], [Number.MAX_SAFE_INTEGER], [1]];
  const hasInputs = answer.opset >= WITH_SLICE_INPUTS;
  const bounds = hasInputs
    ? Object.entries({ start, end, axis }).map(([name, values]) => constant(name, int64Tensor(values)))
    : [];
  const attributes = hasInputs ? {} : { starts: { ints: start }, ends: { ints: end }, axes: { ints: axis } };
  part.nodes.push({ op: 'Slice', inputs: [both, ...bounds], outputs: [target], attributes });
  return part;
}
