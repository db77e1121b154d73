/** The operators before and behind a wrapped ONNX graph: from uint8 images to its input, and from its outputs to rows of values. */
import { ELEMENT, type ImageInput } from '../../onnx-reader/inputs-and-outputs.ts';
import { normalizationOf } from '../../spec/normalization.ts';
import type { ModelSpec } from '../../spec/spec.ts';
import { floatTensor, int64Tensor, type OnnxNode } from '../graph/graph.ts';

/** Of the wrapper's names. */
export const PREFIX = 'inferql_';

/** Operators in their order, and the constants that they read. */
export interface Part {
  nodes: OnnxNode[];
  constants: [string, ReturnType<typeof floatTensor>][];
}

/** A chain of operators from one value to another; each may have constants behind its input. */
export function createChain(source: string, prefix: string) {
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
export function backNodes(
  input: ImageInput,
  { prefix, source, target }: Ending,
  { from, to, ...answer }: Conversion,
): Part {
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
