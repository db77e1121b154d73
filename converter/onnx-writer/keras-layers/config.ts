import { ModelError, UnsupportedOpError } from '../../errors.ts';
import type { Padding } from '../emit/window.ts';

/** What every layer may say without changing an answer: how it was trained, and what it is called. */
const WITHOUT_EFFECT = new Set([
  'name',
  'trainable',
  'batch_input_shape',
  'batch_shape',
  'input_dtype',
  'build_config',
]);
const FOR_TRAINING = /_(initializer|regularizer|constraint)$/;
/** Half precision is computed in single precision: closer to what the weights say, not farther. */
const FLOAT_TYPES = /^(mixed_)?(float(16|32|64)|bfloat16)$/;

/**
 * A layer's serialized configuration, read field by field. `requireAllRead` refuses a layer with a field that nobody
 * has read: whatever is not understood completely is refused, never skipped.
 */
export class LayerConfig {
  readonly layer: string;
  readonly #fields: Record<string, unknown>;
  readonly #read = new Set<string>();

  constructor(layer: string, fields: Record<string, unknown>) {
    this.layer = layer;
    this.#fields = fields;
  }

  /** A field as it is in the file. */
  raw(field: string): unknown {
    this.#read.add(field);
    return Object.hasOwn(this.#fields, field) ? this.#fields[field] : undefined;
  }

  /** Names fields that do not change an answer. */
  ignore(...fields: string[]): void {
    for (const field of fields) this.#read.add(field);
  }

  /** For a layer that passes its input on, whatever its configuration. */
  ignoreAll(): void {
    this.ignore(...Object.keys(this.#fields));
  }

  /**
   * A field that must have one of some values if it is given; null and false count as absent.
   * @throws UnsupportedOpError for another
   */
  allow(field: string, ...values: unknown[]): void {
    const value = this.raw(field) ?? undefined;
    if (value === undefined || value === false || values.includes(value)) return;
    throw new UnsupportedOpError(`${field} ${describe(value)}`, `layer ${this.layer}`);
  }

  /**
   * A field that repeats what the weights say.
   * @throws ModelError TOPOLOGY_INVALID if the two differ
   */
  expect(field: string, ...actual: number[]): void {
    const value = this.raw(field) ?? undefined;
    if (value === undefined) return;
    const said = Array.isArray(value) ? value : actual.map(() => value);
    if (said.length === 1 && actual.length === 2) said.push(said[0]);
    if (said.length === actual.length && said.every((item, i) => item === actual[i])) return;
    throw this.#invalid(field, `${actual.join(' x ')}, as the weights say, found ${describe(value)}`);
  }

  /**
   * Call it when a layer has been converted.
   * @throws UnsupportedOpError naming the first field that was not read
   */
  requireAllRead(): void {
    const { dtype } = this.#fields;
    if (!isFloat(dtype)) throw new UnsupportedOpError(`dtype ${describe(dtype)}`, `layer ${this.layer}`);
    for (const [field, value] of Object.entries(this.#fields)) {
      if (this.#read.has(field) || field === 'dtype' || WITHOUT_EFFECT.has(field) || FOR_TRAINING.test(field)) continue;
      // A field without a value need not be understood.
      if (value === null) continue;
      throw new UnsupportedOpError(`${field} ${describe(value)}`, `layer ${this.layer}: no such field is known`);
    }
  }

  number(field: string, fallback?: number): number {
    const value = this.raw(field) ?? fallback;
    if (typeof value !== 'number' || !Number.isFinite(value)) throw this.#invalid(field, 'a number');
    return value;
  }

  boolean(field: string, fallback: boolean): boolean {
    const value = this.raw(field) ?? fallback;
    if (typeof value !== 'boolean') throw this.#invalid(field, 'true or false');
    return value;
  }

  text(field: string, fallback?: string): string {
    const value = this.raw(field) ?? fallback;
    if (typeof value !== 'string') throw this.#invalid(field, 'a string');
    return value;
  }

  /** A number, or one number per channel; Keras 3 wraps the latter in an object. */
  numberOrNumbers(field: string, fallback?: number): number | number[] {
    const value = unwrap(this.raw(field)) ?? fallback;
    if (typeof value === 'number' && Number.isFinite(value)) return value;
    const flat = Array.isArray(value) ? value.flat(8) : [];
    // Lists in lists of one, such as [[[[1, 2, 3]]]], are how numpy's broadcasting is written out.
    if (flat.length === 0 || flat.length !== innermost(value).length || !flat.every(Number.isFinite)) {
      throw this.#invalid(field, 'a number or a list of numbers');
    }
    return flat as number[];
  }

  numbers(field: string): number[] {
    const value = this.raw(field);
    if (!Array.isArray(value) || !value.every((item) => typeof item === 'number')) {
      throw this.#invalid(field, 'a list of numbers');
    }
    return value;
  }

  /** A pair that may be written as one number. */
  pair(field: string, fallback?: readonly [number, number]): readonly [number, number] {
    const value = this.raw(field) ?? fallback;
    if (typeof value === 'number') return [value, value];
    if (Array.isArray(value)) {
      const [a, b] = value.length === 1 ? [value[0], value[0]] : value;
      if (value.length <= 2 && Number.isInteger(a) && Number.isInteger(b)) return [a, b];
    }
    throw this.#invalid(field, 'one or two whole numbers');
  }

  /** Four sides, written as a number, as a pair of symmetric ones, or as a pair of pairs. */
  sides(field: string, fallback: number): Padding {
    const value = this.raw(field) ?? fallback;
    const pairs = typeof value === 'number' ? [value, value] : value;
    if (!Array.isArray(pairs) || pairs.length !== 2) throw this.#invalid(field, 'sides');
    const [[top, bottom], [left, right]] = pairs.map((pair) => (Array.isArray(pair) ? pair : [pair, pair])) as [
      [number, number],
      [number, number],
    ];
    if (![top, bottom, left, right].every((side) => Number.isInteger(side) && side >= 0)) {
      throw this.#invalid(field, 'whole numbers of pixels');
    }
    return { top, bottom, left, right };
  }

  padding(): 'same' | 'valid' {
    const padding = this.text('padding', 'valid').toLowerCase();
    if (padding !== 'same' && padding !== 'valid') {
      throw new UnsupportedOpError(`padding ${padding}`, `layer ${this.layer}`);
    }
    return padding;
  }

  /** @throws UnsupportedOpError for images with their channels first, which tfjs does not run either */
  requireChannelsLast(): void {
    const order = this.raw('data_format') ?? 'channels_last';
    if (order !== 'channels_last' && order !== 'channelsLast') {
      throw new UnsupportedOpError(`data_format ${String(order)}`, `layer ${this.layer}`);
    }
  }

  #invalid(field: string, expected: string): ModelError {
    return new ModelError('TOPOLOGY_INVALID', `layer ${this.layer}: ${field}: expected ${expected}`);
  }
}

/** Whether a layer computes in floating point; Keras 2 and 3 write names and two kinds of policies. */
export function isFloat(dtype: unknown): boolean {
  if (dtype === undefined || dtype === null) return true;
  if (typeof dtype === 'string') return FLOAT_TYPES.test(dtype);
  const { class_name, config } = dtype as { class_name?: unknown; config?: { name?: unknown } | null };
  if (class_name !== 'Policy' && class_name !== 'DTypePolicy' && class_name !== 'FloatDTypePolicy') return false;
  return FLOAT_TYPES.test(String(config?.name));
}

function describe(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}

/** The last dimension of nested lists. */
function innermost(value: unknown): unknown[] {
  let list = value;
  while (Array.isArray(list) && Array.isArray(list[0])) list = list[0];
  return Array.isArray(list) ? list : [];
}

/** What Keras 3 wraps: {"class_name": "__numpy__", "config": {"value": [...], "dtype": "float32"}}. */
function unwrap(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  const { class_name, config } = value as { class_name?: unknown; config?: { value?: unknown } | null };
  return /^__(numpy|tensor|tuple)__$/.test(String(class_name)) ? config?.value : value;
}
