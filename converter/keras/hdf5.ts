import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import path from 'node:path';
import { Dataset, File, Group, ready } from 'h5wasm';
import { ModelError } from '../errors.ts';
import { decodeFloat16 } from '../tfjs/weights.ts';

/** Beyond these a file is hostile or broken: no image classifier comes near. */
const SIGNATURE = Buffer.from('\x89HDF\r\n\x1a\n', 'latin1');
const MAX_FILE_BYTES = 2 ** 31 - 1;
const MAX_TOTAL_ELEMENTS = 2 ** 29;

/** A tensor of numbers, row-major, which is read when it is needed. */
export interface Hdf5Tensor {
  shape: number[];
  dtype: 'float32' | 'int32';
  /** @throws ModelError SOURCE_INVALID */
  read(): Float32Array | Int32Array;
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
 * Opens an HDF5 file. It is read in WebAssembly, which sees this file under another name and nothing else of the disk: links to other
 * files lead nowhere. Only what is asked for is read.
 * @throws ModelError SOURCE_INVALID
 */
export async function openHdf5(file: string): Promise<Hdf5> {
  const name = path.basename(file);
  const { FS, activate_throwing_error_handler } = await ready;
  // Otherwise errors of a file are printed line by line.
  activate_throwing_error_handler();
  const descriptor = openSync(file, 'r');
  const mounted = `/model-${opened++}.h5`;
  const close = () => {
    if (FS.analyzePath(mounted, false).exists) FS.unlink(mounted);
    closeSync(descriptor);
  };
  try {
    const { size } = fstatSync(descriptor);
    if (size > MAX_FILE_BYTES) throw new ModelError('SOURCE_INVALID', `${name} is over 2 GB`);
    const start = Buffer.alloc(SIGNATURE.length);
    readSync(descriptor, start, 0, start.length, 0);
    if (!start.equals(SIGNATURE)) throw new ModelError('SOURCE_INVALID', `${name} is not an HDF5 file`);
    mountFile(FS, mounted, descriptor, size);
    return describeFile(new File(mounted, 'r'), name, close);
  } catch (cause) {
    close();
    if (cause instanceof ModelError) throw cause;
    throw new ModelError('SOURCE_INVALID', `${name} is damaged`, { cause });
  }
}

/** A file of Emscripten's memory file system, as far as it matters here. */
interface MemoryNode {
  usedBytes: number;
  stream_ops: object;
}

/** Puts a file that is read from the disk where Emscripten expects one in memory. */
function mountFile(FS: Awaited<typeof ready>['FS'], at: string, descriptor: number, size: number): void {
  FS.writeFile(at, new Uint8Array());
  const { node } = FS.lookupPath(at, {}) as unknown as { node: MemoryNode };
  node.usedBytes = size;
  node.stream_ops = {
    ...node.stream_ops,
    read: (_stream: unknown, buffer: Uint8Array, offset: number, length: number, position: number) =>
      position >= size ? 0 : readSync(descriptor, buffer, offset, Math.min(length, size - position), position),
  };
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
        if (dtype === '<b' || dtype === '|b' || dtype === '<B')
          throw invalid(at, 'holds 8 bits of a quantized model: save the model before model.quantize()');
        if (!NUMBERS.has(String(dtype))) {
          throw invalid(
            at,
            `is of type ${JSON.stringify(dtype)}, which is not read (bfloat16, for example): build the model once more after keras.config.set_dtype_policy("float32") (Keras 2: keras.mixed_precision.set_global_policy), call set_weights(model.get_weights()) on it, and save that`,
          );
        }
        return {
          shape,
          dtype: dtype === '<i' || dtype === '<q' ? 'int32' : 'float32',
          read: () =>
            reading(at, () =>
              readNumbers(dataset, String(dtype), count, () => invalid(at, 'has another size than it says')),
            ),
        };
      }),
    close: () => {
      root.close();
      remove();
    },
  };
}

/** Floats of 16, 32 and 64 bits, and whole numbers of 32 and 64. */
const NUMBERS: ReadonlySet<string> = new Set(['<e', '<f', '<d', '<i', '<q']);

/** Numbers that WebAssembly's memory holds at once. */
const PIECE = 2 ** 20;

function readNumbers(dataset: Dataset, dtype: string, count: number, wrongSize: () => ModelError) {
  const [rows = 1] = dataset.shape ?? [];
  const data = dtype === '<f' && count > PIECE && rows > 1 ? readRows(dataset, rows, count) : readWhole(dataset, dtype);
  if (data?.length !== count) throw wrongSize();
  return data;
}

function readWhole(dataset: Dataset, dtype: string): Float32Array | Int32Array {
  if (dtype === '<e') return readHalves(dataset);
  const value = dataset.value;
  if (value instanceof Float32Array) return value;
  const numbers = ArrayBuffer.isView(value)
    ? Array.from(value as unknown as ArrayLike<number | bigint>, Number)
    : [Number(value)];
  return dtype === '<d' || dtype === '<f' ? Float32Array.from(numbers) : Int32Array.from(numbers);
}

const INTEGER = 0;

/** The library knows floats of 32 and 64 bits only, and gives the bits of others as whole numbers. */
function readHalves(dataset: Dataset): Float32Array {
  const metadata = { ...dataset.metadata, type: INTEGER, signed: false };
  const { value } = Object.create(dataset, { metadata: { value: metadata } }) as Dataset;
  return decodeFloat16(value instanceof Uint16Array ? value : Uint16Array.of(Number(value)));
}

/** Row by row: WebAssembly's memory never shrinks. */
function readRows(dataset: Dataset, rows: number, count: number): Float32Array | undefined {
  const data = new Float32Array(count);
  const width = count / rows;
  const step = Math.max(1, Math.floor(PIECE / width));
  for (let row = 0; row < rows; row += step) {
    const end = Math.min(row + step, rows);
    const part = dataset.slice([[row, end]]);
    if (!(part instanceof Float32Array) || part.length !== (end - row) * width) return undefined;
    data.set(part, row * width);
  }
  return data;
}
