/** Graphs as converters before tfjs 1.0 wrote them: TensorFlow's GraphDef, a protobuf, without the values of its weights. */
import { readFile, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { ModelError } from '../errors.ts';
import { parseModelJson } from './manifest.ts';

const GRAPH_FILE = 'tensorflowjs_model.pb';
/** Beside the graph. */
export const MANIFEST_FILE = 'weights_manifest.json';
/** Of either, without the weights. */
const MAX_BYTES = 64 * 1024 * 1024;

const VARINT = 0;
const FIXED64 = 1;
const BYTES = 2;
const FIXED32 = 5;

/** More nodes than the largest known classifier has by far. */
const MAX_NODES = 100_000;

/** Whether a file is the graph of such a model, by its name. */
export function isBinaryGraph(file: string): boolean {
  return path.basename(file) === GRAPH_FILE;
}

/**
 * Writes the graph and the manifest next to it as the model.json of later converters. The weight files are not copied.
 * @param modelDir a folder that is there
 * @throws ModelError SOURCE_INVALID, TOPOLOGY_INVALID, MANIFEST_INVALID
 */
export async function storeBinaryGraph(file: string, modelDir: string): Promise<void> {
  const modelTopology = readBinaryGraph(await readWhole(file));
  const manifest = path.join(path.dirname(file), MANIFEST_FILE);
  let weightsManifest: unknown;
  try {
    weightsManifest = JSON.parse((await readWhole(manifest)).toString('utf8'));
  } catch (cause) {
    if (cause instanceof ModelError) throw cause;
    throw new ModelError('MANIFEST_INVALID', `${manifest} is not JSON`, { cause });
  }
  const text = JSON.stringify({ format: 'graph-model', modelTopology, weightsManifest });
  parseModelJson(text, MANIFEST_FILE);
  await writeFile(path.join(modelDir, 'model.json'), text);
}

async function readWhole(file: string): Promise<Buffer> {
  const found = await stat(file).catch(() => undefined);
  if (!found?.isFile()) throw new ModelError('SOURCE_INVALID', `${file} is missing`);
  if (found.size > MAX_BYTES) throw new ModelError('SOURCE_INVALID', `${file} is over 64 MB`);
  return readFile(file);
}

interface Field {
  number: number;
  /** Of a number. */
  value: bigint;
  /** Of anything else. */
  bytes: Buffer;
}

/**
 * Reads a GraphDef as the JSON that later converters write in its place.
 * @throws ModelError TOPOLOGY_INVALID
 */
export function readBinaryGraph(bytes: Uint8Array): { node: object[]; versions: { producer: number } } {
  const node: object[] = [];
  let producer = 0;
  for (const field of fieldsOf(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length))) {
    // Absent in the oldest, and tfjs reads it.
    if (field.number === 4)
      producer = Number([...fieldsOf(field.bytes)].find(({ number }) => number === 1)?.value ?? 0);
    if (field.number !== 1) continue;
    if (node.length >= MAX_NODES) throw invalid(`more than ${MAX_NODES} nodes`);
    node.push(readNode(field.bytes));
  }
  if (node.length === 0) throw invalid('no nodes');
  return { node, versions: { producer } };
}

function readNode(bytes: Buffer): object {
  const input: string[] = [];
  const attr: Record<string, object> = {};
  let [name, op] = ['', ''];
  for (const field of fieldsOf(bytes)) {
    if (field.number === 1) name = field.bytes.toString('utf8');
    if (field.number === 2) op = field.bytes.toString('utf8');
    if (field.number === 3) input.push(field.bytes.toString('utf8'));
    if (field.number !== 5) continue;
    const [key, value] = entryOf(field.bytes);
    Object.defineProperty(attr, key, { value: readValue(value), enumerable: true });
  }
  return { name, op, input, attr };
}

/** Of a map. */
function entryOf(bytes: Buffer): [key: string, value: Buffer] {
  const fields = [...fieldsOf(bytes)];
  const find = (number: number) => fields.find((field) => field.number === number)?.bytes ?? Buffer.alloc(0);
  return [find(1).toString('utf8'), find(2)];
}

/** An AttrValue. Default values are not written, and functions are not read. */
function readValue(bytes: Buffer): object {
  for (const { number, value, bytes: content } of fieldsOf(bytes)) {
    if (number === 1) return { list: readList(content) };
    if (number === 2) return { s: content.toString('base64') };
    if (number === 3) return { i: String(BigInt.asIntN(64, value)) };
    if (number === 4) return { f: floatAt(content, 0) };
    if (number === 5) return { b: value !== 0n };
    if (number === 6) return { type: Number(value) };
    if (number === 7) return { shape: readShape(content) };
    // Its values are among the weights.
    if (number === 8) return { tensor: {} };
  }
  return {};
}

function readList(bytes: Buffer): object {
  const s: string[] = [];
  const i: string[] = [];
  const f: number[] = [];
  for (const field of fieldsOf(bytes)) {
    if (field.number === 2) s.push(field.bytes.toString('base64'));
    if (field.number === 3) i.push(...wholeNumbers(field).map((value) => String(BigInt.asIntN(64, value))));
    for (let at = 0; field.number === 4 && at < field.bytes.length; at += 4) f.push(floatAt(field.bytes, at));
  }
  return { ...(s.length > 0 && { s }), ...(i.length > 0 && { i }), ...(f.length > 0 && { f }) };
}

function floatAt(bytes: Buffer, at: number): number {
  if (at + 4 > bytes.length) throw invalid('a number that is cut off');
  return bytes.readFloatLE(at);
}

/** Of a repeated field: all in one, or one alone. */
function wholeNumbers({ bytes, value }: Field): bigint[] {
  if (bytes.length === 0) return [value];
  const values: bigint[] = [];
  for (let at = 0; at < bytes.length; ) {
    const varint = readVarint(bytes, at);
    values.push(varint.value);
    at = varint.end;
  }
  return values;
}

function readShape(bytes: Buffer): object {
  const dim = [...fieldsOf(bytes)]
    .filter(({ number }) => number === 2)
    .map((field) => {
      const size = [...fieldsOf(field.bytes)].find(({ number }) => number === 1)?.value ?? 0n;
      return { size: String(BigInt.asIntN(64, size)) };
    });
  return { dim };
}

function* fieldsOf(bytes: Buffer): Generator<Field> {
  for (let at = 0; at < bytes.length; ) {
    const tag = readVarint(bytes, at);
    const [number, wire] = [Number(tag.value >> 3n), Number(tag.value & 7n)];
    let [start, end, value] = [tag.end, tag.end, 0n];
    if (wire === VARINT) ({ value, end } = readVarint(bytes, tag.end));
    else if (wire === FIXED64) end += 8;
    else if (wire === FIXED32) end += 4;
    else if (wire === BYTES) {
      const length = readVarint(bytes, tag.end);
      start = length.end;
      end = start + Number(length.value);
    } else throw invalid(`a field of type ${wire}`);
    if (end > bytes.length) throw invalid('it ends too early');
    yield { number, value, bytes: wire === VARINT ? Buffer.alloc(0) : bytes.subarray(start, end) };
    at = end;
  }
}

function readVarint(bytes: Buffer, at: number): { value: bigint; end: number } {
  let value = 0n;
  for (let i = 0; i < 10; i++) {
    const byte = bytes[at + i];
    if (byte === undefined) break;
    value |= BigInt(byte & 0x7f) << BigInt(7 * i);
    if (byte < 0x80) return { value, end: at + i + 1 };
  }
  throw invalid('a number without an end');
}

function invalid(what: string): ModelError {
  return new ModelError('TOPOLOGY_INVALID', `it is not a graph of TensorFlow: ${what}`);
}
