import { slice } from '../emit/shape.ts';
import { BATCH } from '../graph/graph.ts';
import type { GraphBuilder, Value } from '../graph/graph-builder.ts';
import type { Operands } from './operands.ts';

interface Part {
  start?: number | null;
  stop?: number | null;
  step?: number | null;
}

/**
 * `x[key]` of Python: slices, whole numbers, an ellipsis, new axes.
 * @throws UnsupportedOpError for a key that cuts the batch, or that is computed
 */
export function sliceByKey(builder: GraphBuilder, input: Value, key: unknown, operands: Operands): Value {
  const items = Array.isArray(key) ? key : [key];
  const consumed = items.filter((item) => item !== null && !isEllipsis(item)).length;
  const missing = input.shape.length - consumed;
  if (missing < 0) throw operands.unsupported('with more indices than dimensions');
  const expanded: unknown[] = items.some(isEllipsis) ? [] : [...items, ...Array(missing).fill({})];
  if (expanded.length === 0) {
    for (const item of items) expanded.push(...(isEllipsis(item) ? Array(missing).fill({}) : [item]));
  }
  let axis = 0;
  const shape: number[] = [];
  const parts: { axis: number; begin: number; end: number; step: number }[] = [];
  for (const item of expanded) {
    if (item === null) {
      if (axis === 0) throw operands.unsupported('with a new axis before the batch');
      shape.push(1);
      continue;
    }
    const size = input.shape[axis] ?? 1;
    const isIndex = typeof item === 'number';
    const part = isIndex ? { start: item, stop: item === -1 ? null : item + 1 } : toPart(item);
    if (!part) throw operands.unsupported(`with the index ${JSON.stringify(item)}`);
    const { begin, end, step } = resolve(part, size);
    const isWhole = part.start == null && part.stop == null && step === 1;
    if (size === BATCH && !isWhole) throw operands.unsupported('that cuts the batch');
    if (!isWhole) parts.push({ axis, begin, end, step });
    if (!isIndex) shape.push(isWhole ? size : Math.max(Math.ceil((end - begin) / step), 0));
    axis++;
  }
  return builder.reshape(slice(builder, input, parts), shape);
}

/** Python's rules for negative and missing bounds. */
function resolve({ start, stop, step }: Part, size: number): { begin: number; end: number; step: number } {
  const by = step ?? 1;
  const low = by > 0 ? 0 : -1;
  const high = by > 0 ? size : size - 1;
  const at = (bound: number) => Math.min(Math.max(bound < 0 ? bound + size : bound, low), high);
  return {
    begin: start == null ? (by > 0 ? 0 : size - 1) : at(start),
    end: stop == null ? (by > 0 ? size : -1) : at(stop),
    step: by,
  };
}

function isEllipsis(item: unknown): boolean {
  if (item === '...') return true;
  return typeof item === 'object' && item !== null && (item as { class_name?: unknown }).class_name === '__ellipsis__';
}

/** Keras 2 writes {start, stop, step}, Keras 3 puts the same into the config of an object. */
function toPart(item: unknown): Part | undefined {
  if (typeof item !== 'object' || item === null) return undefined;
  const { class_name, config } = item as { class_name?: unknown; config?: unknown };
  const fields =
    class_name === '__slice__' || class_name === 'slice' ? config : class_name === undefined ? item : undefined;
  if (typeof fields !== 'object' || fields === null) return undefined;
  const { start, stop, step, ...others } = fields as Record<string, unknown>;
  const isBound = (bound: unknown) => bound === undefined || bound === null || Number.isInteger(bound);
  if (![start, stop, step].every(isBound) || step === 0 || Object.keys(others).length > 0) return undefined;
  return { start, stop, step } as Part;
}
