import type { onnx } from 'onnx-proto';

/** ONNX' numbers of the element types that images and answers may have. */
export const ELEMENT = { float: 1, uint8: 2, int32: 6, int64: 7, half: 10, double: 11 } as const;
/** Of outputs: whole numbers and floats; not texts, lists and maps. */
export const NUMBER_TYPES: ReadonlySet<number> = new Set([...Object.values(ELEMENT), 3, 9]);

/** Undefined for an unknown rank; a size is undefined if the file leaves it open. */
export type Sizes = readonly (number | undefined)[] | undefined;

/** One input or output. */
export interface Port {
  name: string;
  type: number;
  sizes: Sizes;
  /** The names of open sizes, such as `batch`. */
  sizeNames: readonly (string | undefined)[];
}

export function toPort({ name, type }: onnx.IValueInfoProto): Port {
  const dims = type?.tensorType?.shape?.dim;
  return {
    name: name ?? '',
    type: type?.tensorType?.elemType ?? 0,
    // Some exporters write -1 for an open size.
    sizes: dims?.map(({ dimValue }) => (Number(dimValue ?? 0) > 0 ? Number(dimValue) : undefined)),
    sizeNames: dims?.map(({ dimParam }) => dimParam || undefined) ?? [],
  };
}

/** Such as `? x 3 x 224 x 224`. */
export function describeSizes(sizes: Sizes): string {
  return sizes === undefined ? 'an open shape' : sizes.map((size) => size ?? '?').join(' x ') || 'a single number';
}
