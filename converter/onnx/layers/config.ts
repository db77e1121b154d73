import { ModelError, UnsupportedOpError } from '../../errors.ts';
import type { Padding } from '../emit/window.ts';

/** A layer's serialised configuration, read field by field: Keras writes many that do not matter here. */
export class LayerConfig {
  readonly layer: string;
  readonly #fields: Record<string, unknown>;

  constructor(layer: string, fields: Record<string, unknown>) {
    this.layer = layer;
    this.#fields = fields;
  }

  raw(field: string): unknown {
    return this.#fields[field];
  }

  number(field: string, fallback?: number): number {
    const value = this.#fields[field] ?? fallback;
    if (typeof value !== 'number' || !Number.isFinite(value)) throw this.#invalid(field, 'a number');
    return value;
  }

  boolean(field: string, fallback: boolean): boolean {
    const value = this.#fields[field] ?? fallback;
    if (typeof value !== 'boolean') throw this.#invalid(field, 'true or false');
    return value;
  }

  text(field: string, fallback?: string): string {
    const value = this.#fields[field] ?? fallback;
    if (typeof value !== 'string') throw this.#invalid(field, 'a string');
    return value;
  }

  numbers(field: string): number[] {
    const value = this.#fields[field];
    if (!Array.isArray(value) || !value.every((item) => typeof item === 'number')) {
      throw this.#invalid(field, 'a list of numbers');
    }
    return value;
  }

  /** A pair that may be written as one number. */
  pair(field: string, fallback?: readonly [number, number]): readonly [number, number] {
    const value = this.#fields[field] ?? fallback;
    if (typeof value === 'number') return [value, value];
    if (Array.isArray(value)) {
      const [a, b] = value.length === 1 ? [value[0], value[0]] : value;
      if (value.length <= 2 && Number.isInteger(a) && Number.isInteger(b)) return [a, b];
    }
    throw this.#invalid(field, 'one or two whole numbers');
  }

  /** Four sides, written as a number, as a pair of symmetric ones, or as a pair of pairs. */
  sides(field: string, fallback: number): Padding {
    const value = this.#fields[field] ?? fallback;
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

  /** The name of an activation; Keras 3 wraps custom ones in an object. */
  activation(field = 'activation'): string {
    const value = this.#fields[field];
    if (value === undefined || value === null) return 'linear';
    if (typeof value === 'string') return value;
    const { class_name, config } = value as { class_name?: unknown; config?: unknown };
    if (class_name === 'function' && typeof config === 'string') return config;
    if (typeof class_name === 'string') return class_name;
    throw this.#invalid(field, 'an activation');
  }

  /** @throws UnsupportedOpError for images with their channels first, which tfjs does not run either */
  requireChannelsLast(): void {
    const order = this.#fields.data_format ?? 'channels_last';
    if (order !== 'channels_last' && order !== 'channelsLast') {
      throw new UnsupportedOpError(`data_format ${String(order)}`, `layer ${this.layer}`);
    }
  }

  #invalid(field: string, expected: string): ModelError {
    return new ModelError('TOPOLOGY_INVALID', `layer ${this.layer}: ${field}: expected ${expected}`);
  }
}
