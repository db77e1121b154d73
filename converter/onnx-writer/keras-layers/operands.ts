import { ModelError, UnsupportedOpError } from '../../errors.ts';
import type { Argument, Dialect, TensorRef } from '../../tfjs/call-arguments.ts';
import { elementCount, floatTensor } from '../graph/graph.ts';
import type { GraphBuilder, Value } from '../graph/graph-builder.ts';
import { isFloat } from './config.ts';

/** An argument of an operation: a tensor that flows, a list of operands, or what JSON says. */
export type Operand = { flow: Value } | { items: Operand[] } | { constant: unknown };

/** What an operation on tensors computes. */
export type Operation = (operands: Operands) => Value | Value[];

/** Other names that Keras 2 and 3 give the same parameters. */
const ALIASES: Record<string, string> = {
  x1: 'x',
  a: 'x',
  input: 'x',
  inputs: 'x',
  input_tensor: 'x',
  tensor: 'x',
  tensors: 'x',
  features: 'x',
  logits: 'x',
  images: 'x',
  value: 'x',
  values: 'x',
  xs: 'x',
  params: 'x',
  t: 'x',
  x2: 'y',
  b: 'y',
  bias: 'y',
  exponent: 'y',
  newshape: 'shape',
  axes: 'perm',
  slice_spec: 'key',
  paddings: 'pad_width',
  clip_value_min: 'x_min',
  clip_value_max: 'x_max',
};

/** What an operation is called with, by the parameter's name; like LayerConfig it knows what was read. */
export class Operands {
  readonly builder: GraphBuilder;
  readonly dialect: Dialect;
  readonly #layer: string;
  readonly #operation: string;
  readonly #operands = new Map<string, Operand>();

  constructor(builder: GraphBuilder, layer: string, operation: string, dialect: Dialect) {
    this.builder = builder;
    this.dialect = dialect;
    this.#layer = layer;
    this.#operation = operation;
  }

  /** @throws UnsupportedOpError for a parameter that is given twice */
  add(name: string, operand: Operand): void {
    const own = Object.hasOwn(ALIASES, name) ? (ALIASES[name] as string) : name;
    if (this.#operands.has(own)) throw this.unsupported(`with ${name} twice`);
    this.#operands.set(own, operand);
  }

  #take(name: string): Operand | undefined {
    const operand = this.#operands.get(name);
    this.#operands.delete(name);
    return operand;
  }

  /** A tensor, computed or constant. */
  value(name: string): Value {
    const operand = this.#take(name);
    const value = operand && toValue(this.builder, operand);
    if (!value) throw this.unsupported(`without a tensor or a number ${name}`);
    return value;
  }

  /** Several tensors. */
  values(name: string): Value[] {
    const operand = this.#take(name);
    const items = operand && 'items' in operand ? operand.items : [];
    return items.map((item) => {
      const value = toValue(this.builder, item);
      if (!value) throw this.unsupported(`with a list ${name} of something other than tensors`);
      return value;
    });
  }

  /** What JSON says; undefined if nothing or null is given. @throws UnsupportedOpError for what is computed */
  constant(name: string): unknown {
    const operand = this.#take(name);
    if (operand === undefined) return undefined;
    const plain = toPlain(operand);
    if (plain === undefined) throw this.unsupported(`with a computed ${name}`);
    return plain ?? undefined;
  }

  number(name: string, fallback: number): number {
    const value = this.constant(name) ?? fallback;
    if (typeof value !== 'number' || !Number.isFinite(value))
      throw this.unsupported(`with a ${name} that is not a number`);
    return value;
  }

  /** A flag, which may be written as 0 or 1. */
  boolean(name: string, fallback = false): boolean {
    const value = this.constant(name) ?? fallback;
    if (typeof value !== 'boolean' && value !== 0 && value !== 1)
      throw this.unsupported(`with ${name} that is neither true nor false`);
    return Boolean(value);
  }

  /** Whole numbers; one alone is a list of one. */
  ints(name: string): number[] | undefined {
    const value = this.constant(name);
    if (value === undefined) return undefined;
    const list = Array.isArray(value) ? value : [value];
    if (!list.every((item) => Number.isInteger(item)))
      throw this.unsupported(`with a ${name} of other than whole numbers`);
    return list as number[];
  }

  /**
   * An axis of a value, counted from the first.
   * @param rank the number of the value's dimensions
   * @throws UnsupportedOpError for one that the value does not have
   */
  axis(axis: number, rank: number): number {
    const fromFirst = axis < 0 ? axis + rank : axis;
    if (!Number.isInteger(axis) || fromFirst < 0 || fromFirst >= rank)
      throw this.unsupported(`over axis ${axis} of ${rank} dimensions`);
    return fromFirst;
  }

  /**
   * A parameter with axes of a value, counted from the first; undefined if it is not given.
   * @throws UnsupportedOpError for one that the value does not have
   */
  axes(name: string, rank: number): number[] | undefined {
    return this.ints(name)?.map((axis) => this.axis(axis, rank));
  }

  /**
   * A parameter that must have one of some values if it is given; null and false count as absent.
   * @throws UnsupportedOpError for another
   */
  allow(name: string, ...values: unknown[]): void {
    const value = this.constant(name);
    if (value === undefined || value === false || values.includes(value)) return;
    throw this.unsupported(`with ${name} ${JSON.stringify(value)}`);
  }

  /** @throws UnsupportedOpError naming a parameter that nobody has read */
  requireAllRead(): void {
    this.#take('name');
    const dtype = this.constant('dtype');
    if (!isFloat(dtype)) throw this.unsupported(`with dtype ${JSON.stringify(dtype)}`);
    for (const name of [...this.#operands.keys()]) this.allow(name);
  }

  unsupported(detail: string): UnsupportedOpError {
    return new UnsupportedOpError(this.#operation, `layer ${this.#layer}: ${detail}`);
  }
}

/** Argument of a file with its tensors looked up. */
export function toOperand(argument: Argument, find: (ref: TensorRef) => Value): Operand {
  if ('tensor' in argument) return { flow: find(argument.tensor) };
  if ('list' in argument) return { items: argument.list.map((item) => toOperand(item, find)) };
  return { constant: argument.value };
}

/** Numbers become constants, lists of numbers constant tensors. */
function toValue(builder: GraphBuilder, operand: Operand): Value | undefined {
  if ('flow' in operand) return operand.flow;
  const numbers = toPlain(operand);
  const shape: number[] = [];
  for (let at = numbers; Array.isArray(at); at = at[0]) shape.push(at.length);
  const flat = [numbers].flat(Number.POSITIVE_INFINITY);
  if (flat.length === 0 || !flat.every((item) => typeof item === 'number' && Number.isFinite(item))) return undefined;
  if (elementCount(shape) !== flat.length) throw new ModelError('TOPOLOGY_INVALID', 'a constant of uneven lists');
  return builder.constant(floatTensor(shape, flat as number[]));
}

/** The JSON behind an operand; undefined if it contains a tensor. */
function toPlain(operand: Operand): unknown {
  if ('constant' in operand) return operand.constant;
  if ('flow' in operand) return undefined;
  const items = operand.items.map(toPlain);
  return items.includes(undefined) ? undefined : items;
}
