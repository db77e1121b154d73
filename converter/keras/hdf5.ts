import { readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { Dataset, File, Group, ready } from 'h5wasm';
import { ModelError } from '../errors.ts';

/** Beyond these a file is hostile or broken: no image classifier comes near. */
const SIGNATURE = Buffer.from('\x89HDF\r\n\x1a\n', 'latin1');
const MAX_FILE_BYTES = 2 ** 31 - 1;
const MAX_TOTAL_ELEMENTS = 2 ** 29;

/** A tensor of numbers, row-major. */
export interface Hdf5Tensor {
  shape: number[];
  data: Float32Array | Int32Array;
}

/** An HDF5 file that is open for reading. Paths have no slash in front. */
export interface Hdf5 {
  /** A text, or a list of texts; undefined if there is none. */
  text(group: string, attribute: string): string | undefined;
  texts(group: string, attribute: string): string[] | undefined;
  /** Names of a group's members; undefined if there is no such group. */
  keys(group: string): string[] | undefined;
  /** Names of the numbers in a group. */
  isTensor(at: string): boolean;
  /** @throws ModelError SOURCE_INVALID for what is not a tensor of numbers */
  tensor(at: string): Hdf5Tensor;
  close(): void;
}

let opened = 0;

/**
 * Opens an HDF5 file. It is read in WebAssembly, which sees a copy of this file and nothing else of the disk: links to other
 * files lead nowhere.
 * @throws ModelError SOURCE_INVALID
 */
export async function openHdf5(file: string): Promise<Hdf5> {
  const name = path.basename(file);
  const { FS, activate_throwing_error_handler } = await ready;
  // Otherwise errors of a file are printed line by line.
  activate_throwing_error_handler();
  const { size } = await stat(file);
  if (size > MAX_FILE_BYTES) throw new ModelError('SOURCE_INVALID', `${name} is over 2 GB`);
  const bytes = await readFile(file);
  if (!bytes.subarray(0, SIGNATURE.length).equals(SIGNATURE)) {
    throw new ModelError('SOURCE_INVALID', `${name} is not an HDF5 file`);
  }
  const copy = `/model-${opened++}.h5`;
  FS.writeFile(copy, bytes);
  try {
    return describeFile(new File(copy, 'r'), name, () => FS.unlink(copy));
  } catch (cause) {
    FS.unlink(copy);
    throw new ModelError('SOURCE_INVALID', `${name} is damaged`, { cause });
  }
}

function describeFile(root: File, name: string, remove: () => void): Hdf5 {
  let elements = 0;
  const invalid = (at: string, what: string, cause?: unknown) =>
    new ModelError('SOURCE_INVALID', `${name}: ${at || 'the file'}: ${what}`, { cause });
  const reading = <T>(at: string, read: () => T): T => {
    try {
      return read();
    } catch (cause) {
      throw cause instanceof ModelError ? cause : invalid(at, 'cannot be read', cause);
    }
  };
  const find = (at: string) => (at === '' ? root : root.get(at));
  const attribute = (at: string, attribute: string): unknown =>
    reading(at, () => {
      const group = find(at);
      if (!(group instanceof Group) || !Object.hasOwn(group.attrs, attribute)) return undefined;
      return group.attrs[attribute]?.value;
    });
  return {
    text: (at, name) => {
      const value = attribute(at, name);
      return typeof value === 'string' ? value : undefined;
    },
    texts: (at, name) => {
      const value = attribute(at, name);
      if (value === undefined) return undefined;
      // An empty list is written as one of numbers.
      const list = Array.isArray(value) ? value : Array.from(value as ArrayLike<unknown>);
      return list.filter((item) => typeof item === 'string');
    },
    keys: (at) =>
      reading(at, () => {
        const group = find(at);
        return group instanceof Group ? group.keys() : undefined;
      }),
    isTensor: (at) => reading(at, () => find(at) instanceof Dataset),
    tensor: (at) =>
      reading(at, () => {
        const dataset = find(at);
        if (!(dataset instanceof Dataset)) throw invalid(at, 'is missing');
        const { dtype } = dataset;
        const shape = [...(dataset.shape ?? [])];
        const count = shape.reduce((a, b) => a * b, 1);
        elements += count;
        if (elements > MAX_TOTAL_ELEMENTS) throw invalid(at, 'more than 2 GB of weights');
        if (dtype !== '<f' && dtype !== '<d' && dtype !== '<i' && dtype !== '<q') {
          throw invalid(at, `is of type ${JSON.stringify(dtype)}: expected 32 or 64 bits, little-endian`);
        }
        const value = dataset.value;
        const numbers = ArrayBuffer.isView(value)
          ? Array.from(value as unknown as ArrayLike<number | bigint>, Number)
          : [Number(value)];
        const data =
          value instanceof Float32Array
            ? value
            : dtype === '<d' || dtype === '<f'
              ? Float32Array.from(numbers)
              : Int32Array.from(numbers);
        if (data.length !== count) throw invalid(at, 'has another size than it says');
        return { shape, data };
      }),
    close: () => {
      root.close();
      remove();
    },
  };
}
