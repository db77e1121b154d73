import { ModelError, ShapeMismatchError } from '../../errors.ts';
import {
  type Attribute,
  BATCH,
  type ElementType,
  elementCount,
  int64Tensor,
  type OnnxGraph,
  type Tensor,
  transposeTensor,
} from './graph.ts';

/**
 * A tensor that flows through the graph. `shape` is always tfjs' (channels last); a rank-4 value whose ONNX tensor
 * has its channels first says so, so that transposes are written only if an op needs the other order.
 */
export interface Value {
  name: string;
  shape: readonly number[];
  type: ElementType;
  channelsFirst: boolean;
  /** All elements are this number. */
  uniform?: number;
}

const TO_FIRST = [0, 3, 1, 2];
const TO_LAST = [0, 2, 3, 1];
/** Per image: four gigabytes of float32, more than any classifier needs for the largest image. */
const MAX_ELEMENTS = 2 ** 30;

/** Writes an ONNX graph node by node; knows every value's shape and where its channels are. */
export class GraphBuilder {
  readonly graph: OnnxGraph = { nodes: [], constants: new Map(), inputs: [], outputs: [] };
  readonly #reordered = new Map<string, Value>();
  readonly #channels = new Map<string, number>();
  #count = 0;

  /** Declares the graph's input. */
  input(name: string, type: ElementType, shape: readonly number[]): Value {
    this.graph.inputs.push({ name, type, shape });
    return { name, shape, type, channelsFirst: false };
  }

  /** Adds a constant; its shape is as the reading node expects it. */
  constant(tensor: Tensor): Value {
    const name = `c${this.#count++}`;
    this.graph.constants.set(name, tensor);
    return { name, shape: tensor.shape, type: tensor.type, channelsFirst: false };
  }

  /** The tensor behind a value that is a constant. */
  tensorOf(value: Value): Tensor | undefined {
    return this.graph.constants.get(value.name);
  }

  /** Adds a node with one output. Float32 and channels last by default. */
  emit(
    op: string,
    inputs: readonly Value[],
    result: { shape: readonly number[]; channelsFirst?: boolean; type?: ElementType },
    attributes: Record<string, Attribute> = {},
  ): Value {
    return this.emitMany(op, inputs, [result], attributes)[0] as Value;
  }

  /** Adds a node with several outputs. @throws ModelError TOPOLOGY_INVALID for shapes that no model has */
  emitMany(
    op: string,
    inputs: readonly Value[],
    results: readonly { shape: readonly number[]; channelsFirst?: boolean; type?: ElementType }[],
    attributes: Record<string, Attribute> = {},
  ): Value[] {
    const outputs = results.map((result) => ({
      name: `v${this.#count++}`,
      shape: result.shape,
      type: result.type ?? ('float32' as const),
      channelsFirst: result.channelsFirst ?? false,
    }));
    for (const { name, shape } of outputs) {
      checkShape(op, shape);
      this.#channels.set(name, shape.at(-1) ?? 1);
    }
    this.graph.nodes.push({
      op,
      inputs: inputs.map((input) => input.name),
      outputs: outputs.map((output) => output.name),
      attributes,
    });
    return outputs;
  }

  /** The size of the last dimension, in tfjs' order, of what a node gives. */
  channelsOf(name: string): number | undefined {
    return this.#channels.get(name);
  }

  /** The same rank-4 value with its channels first. */
  channelsFirst(value: Value): Value {
    return value.channelsFirst ? value : this.#reorder(value, TO_FIRST, true);
  }

  /** The same value with its channels last, as tfjs orders it. */
  channelsLast(value: Value): Value {
    return value.channelsFirst ? this.#reorder(value, TO_LAST, false) : value;
  }

  #reorder(value: Value, order: readonly number[], channelsFirst: boolean): Value {
    const known = this.#reordered.get(value.name);
    if (known) return known;
    const tensor = this.tensorOf(value);
    const [, height = 0, width = 0, channels = 0] = value.shape;
    let result: Value;
    if (tensor) {
      result = { ...this.constant(transposeTensor(tensor, order)), shape: value.shape, channelsFirst };
    } else if (height * width === 1 || channels === 1) {
      // The elements are in the same order either way.
      const target = channelsFirst ? [0, channels, height, width] : [0, height, width, channels];
      result = this.emit('Reshape', [value, this.constant(int64Tensor(target.map(inferred)))], {
        shape: value.shape,
        channelsFirst,
        type: value.type,
      });
    } else {
      result = this.emit(
        'Transpose',
        [value],
        { shape: value.shape, channelsFirst, type: value.type },
        { perm: { ints: order } },
      );
    }
    this.#reordered.set(value.name, result);
    this.#reordered.set(result.name, value);
    return result;
  }

  /** Gives the value a new shape, with its elements in tfjs' order. The batch stays first if there is one. */
  reshape(value: Value, shape: readonly number[]): Value {
    const plain = this.channelsLast(value);
    if (plain.shape.length === shape.length && plain.shape.every((size, axis) => size === shape[axis])) return plain;
    const tensor = this.tensorOf(plain);
    if (tensor) return this.constant({ ...tensor, shape });
    const target = shape[0] === BATCH && plain.shape[0] === BATCH ? [0, ...shape.slice(1)] : shape.map(inferred);
    return this.emit('Reshape', [plain, this.constant(int64Tensor(target))], { shape, type: plain.type });
  }

  /** [batch, rest…] to [batch, product of the rest]. */
  flatten(value: Value): Value {
    return this.reshape(value, [value.shape[0] ?? BATCH, elementCount(value.shape.slice(1))]);
  }
}

/** A size that depends on the number of images is found when the graph runs. */
const inferred = (size: number): number => (size < 0 ? -1 : size);

/** A kernel larger than its image leaves nothing, and a padding of a million pixels leaves no memory. */
function checkShape(op: string, shape: readonly number[]): void {
  const sizes = shape[0] === BATCH ? shape.slice(1) : shape;
  // Of images that are not in a dimension each, only one dimension has all.
  const rows = shape[0] === BATCH ? 0 : sizes.filter((size) => size < 0).length;
  const isSize = (size: number) => Number.isInteger(size) && (size > 0 || (size < 0 && rows === 1));
  const message = `${op} would make a tensor of ${sizes.join(' x ')}`;
  if (!sizes.every(isSize)) throw new ShapeMismatchError(message);
  if (Math.abs(elementCount(sizes)) > MAX_ELEMENTS) throw new ModelError('TOPOLOGY_INVALID', message);
}
