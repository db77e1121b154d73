import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { ModelError } from '../errors.ts';
import { decodeOnnx, type OnnxModel, type OnnxModelGraph } from './decode-onnx.ts';
import { OWN_FILE } from './external-weights.ts';

/** Shorter weights are read; longer ones stay in the file. */
const MAX_READ_BYTES = 4096;
const WINDOW_BYTES = 65_536;
/** Of messages in messages. Exporters stay below ten. */
const MAX_DEPTH = 64;
/** What is left of a model without its weights: its nodes and names. */
const MAX_REST_BYTES = 512 * 1024 * 1024;

/** Which fields of a message are read as messages: those that tensors may be in. */
type Message = { [field: number]: Message } | 'tensor';

const TENSOR = 'tensor';
const attribute: Message = { 5: TENSOR, 10: TENSOR };
const graph: Message = { 1: { 5: attribute }, 5: TENSOR, 15: { 1: TENSOR, 2: TENSOR } };
attribute[6] = graph;
attribute[11] = graph;
const MODEL: Message = { 7: graph };

/** Fields of a tensor. Packed floats and doubles have the bytes of raw data. */
const FLOAT_DATA = 4;
const RAW_DATA = 9;
const DOUBLE_DATA = 10;
const EXTERNAL_DATA = 13;
const DATA_LOCATION = 14;

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

/**
 * Reads an ONNX file without its weights: tensors of more than 4 kB say where in the file their bytes are, as tensors in other files do.
 * Memory then does not depend on the size of the weights.
 * @throws ModelError SOURCE_INVALID
 */
export function readOnnx(file: string): { model: OnnxModel; graph: OnnxModelGraph } {
  let descriptor: number;
  try {
    descriptor = openSync(file, 'r');
  } catch (cause) {
    throw new ModelError('SOURCE_INVALID', `${file} is missing or cannot be read`, { cause });
  }
  try {
    const reader = new Reader(descriptor);
    return decodeOnnx(Buffer.concat(reader.message(MODEL, 0, reader.size, 0)));
  } finally {
    closeSync(descriptor);
  }
}

interface Field {
  number: number;
  wire: number;
  /** Where the field with its tag begins, its content begins, and it ends. */
  start: number;
  content: number;
  end: number;
}

class Reader {
  readonly #file: number;
  readonly size: number;
  #window: Buffer = Buffer.alloc(0);
  #windowStart = 0;
  #restBytes = 0;

  constructor(file: number) {
    this.#file = file;
    this.size = fstatSync(file).size;
  }

  /** The parts of a message, with shorter tensors in it. */
  message(shape: { [field: number]: Message }, start: number, end: number, depth: number): Buffer[] {
    if (depth > MAX_DEPTH) throw invalid('nested too deeply');
    const parts: Buffer[] = [];
    for (const field of this.#fields(start, end)) {
      const inner = field.wire === BYTES ? shape[field.number] : undefined;
      if (inner === undefined || field.end - field.content <= MAX_READ_BYTES) {
        parts.push(this.#bytes(field.start, field.end));
        continue;
      }
      const body =
        inner === TENSOR
          ? this.#tensor(field.content, field.end)
          : this.message(inner, field.content, field.end, depth + 1);
      parts.push(...encodeBytes(field.number, body));
    }
    return parts;
  }

  /** A tensor whose bytes stay in the file. */
  #tensor(start: number, end: number): Buffer[] {
    const fields = [...this.#fields(start, end)];
    const isElsewhere = fields.some(({ number }) => number === EXTERNAL_DATA || number === DATA_LOCATION);
    const [data, ...others] = fields.filter(
      ({ number, wire }) => wire === BYTES && [RAW_DATA, FLOAT_DATA, DOUBLE_DATA].includes(number),
    );
    const parts = fields
      .filter((field) => field !== data || isElsewhere || others.length > 0)
      .map((field) => this.#bytes(field.start, field.end));
    if (!data || isElsewhere || others.length > 0) return parts;
    const entries = { location: OWN_FILE, offset: data.content, length: data.end - data.content };
    for (const [key, value] of Object.entries(entries)) {
      const entry = [...encodeBytes(1, [Buffer.from(key)]), ...encodeBytes(2, [Buffer.from(String(value))])];
      parts.push(...encodeBytes(EXTERNAL_DATA, entry));
    }
    parts.push(Buffer.concat([encodeVarint(DATA_LOCATION * 8 + VARINT), encodeVarint(1)]));
    return parts;
  }

  *#fields(start: number, end: number): Generator<Field> {
    for (let at = start; at < end; ) {
      const tag = this.#varint(at, end);
      const wire = tag.value % 8;
      let content = tag.end;
      let next: number;
      if (wire === VARINT) next = this.#varint(content, end).end;
      else if (wire === FIXED64) next = content + 8;
      else if (wire === FIXED32) next = content + 4;
      else if (wire === BYTES) {
        const length = this.#varint(content, end);
        content = length.end;
        next = content + length.value;
      } else throw invalid(`a field of type ${wire}`);
      if (next > end) throw invalid('it ends too early');
      yield { number: Math.floor(tag.value / 8), wire, start: at, content, end: next };
      at = next;
    }
  }

  /** Numbers above 2 ** 53 are not lengths, and are only skipped. */
  #varint(at: number, end: number): { value: number; end: number } {
    let value = 0;
    for (let i = 0; i < 10 && at + i < end; i++) {
      const byte = this.#byte(at + i);
      value += (byte % 128) * 2 ** (7 * i);
      if (byte < 128) return { value, end: at + i + 1 };
    }
    throw invalid('it ends too early');
  }

  #byte(at: number): number {
    if (at < this.#windowStart || at >= this.#windowStart + this.#window.length) {
      this.#window = this.#read(at, Math.min(WINDOW_BYTES, this.size - at));
      this.#windowStart = at;
    }
    return this.#window[at - this.#windowStart] ?? 0;
  }

  #bytes(start: number, end: number): Buffer {
    this.#restBytes += end - start;
    if (this.#restBytes > MAX_REST_BYTES) throw invalid('it has over 512 MB without its weights');
    const from = start - this.#windowStart;
    if (from >= 0 && end - this.#windowStart <= this.#window.length) {
      return Buffer.from(this.#window.subarray(from, end - this.#windowStart));
    }
    return this.#read(start, end - start);
  }

  #read(at: number, length: number): Buffer {
    const bytes = Buffer.alloc(length);
    for (let done = 0; done < length; ) {
      const read = readSync(this.#file, bytes, done, length - done, at + done);
      if (read === 0) throw invalid('it ends too early');
      done += read;
    }
    return bytes;
  }
}

function invalid(why: string): ModelError {
  return new ModelError('SOURCE_INVALID', `the file is not an ONNX model: ${why}`);
}

function encodeBytes(field: number, body: Buffer[]): Buffer[] {
  const length = body.reduce((sum, part) => sum + part.length, 0);
  return [encodeVarint(field * 8 + BYTES), encodeVarint(length), ...body];
}

function encodeVarint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128);
  return Buffer.from([...bytes, rest]);
}
