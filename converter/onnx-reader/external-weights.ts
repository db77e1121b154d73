import type { onnx } from 'onnx-proto';
import { ModelError } from '../errors.ts';

/** Where a tensor's bytes are, outside the ONNX file. */
export interface ExternalPart {
  /** Relative to the folder of the ONNX file. */
  location: string;
  offset: number;
  /** In bytes; undefined if the file does not say. */
  length: number | undefined;
}

/** Of tensors, the part that external data is about. */
type TensorLike = Pick<onnx.ITensorProto, 'dataLocation' | 'externalData' | 'name'>;
type ModelLike = Pick<onnx.IModelProto, 'graph' | 'functions'>;

const EXTERNAL = 1;

/** The location of weights that are in the ONNX file itself and were left there by `readOnnx`. No file can have this name. */
export const OWN_FILE = '//';

/**
 * Where a tensor's bytes are; undefined if they are in the ONNX file itself.
 * @throws ModelError SOURCE_INVALID for a path that leaves the folder of the ONNX file
 */
export function externalPartOf(tensor: TensorLike): ExternalPart | undefined {
  const entries = tensor.externalData ?? [];
  if (tensor.dataLocation !== EXTERNAL && entries.length === 0) return undefined;
  const entryOf = (wanted: string) => entries.find(({ key }) => key === wanted)?.value ?? undefined;
  const location = entryOf('location') ?? '';
  const offset = Number(entryOf('offset') ?? 0);
  const length = entryOf('length') === undefined ? undefined : Number(entryOf('length'));
  const isSize = (value: number) => Number.isSafeInteger(value) && value >= 0;
  if (location === OWN_FILE && length !== undefined && isSize(offset) && isSize(length)) {
    return { location, offset, length };
  }
  const parts = location.split('/');
  const isPlain =
    parts.every((part) => part !== '' && part !== '.' && part !== '..') &&
    !/[\\\0]|^[A-Za-z]:/.test(location) &&
    location.length <= 500;
  if (!isPlain || !isSize(offset) || (length !== undefined && !isSize(length))) {
    throw new ModelError(
      'SOURCE_INVALID',
      `the ONNX file names ${JSON.stringify(location)} for its weights: expected a file next to it`,
    );
  }
  return { location, offset, length };
}

/** Calls `visit` for each tensor of a model: initializers, constants in attributes, and those of inner graphs and of functions. */
function visitTensors({ graph, functions }: ModelLike, visit: (tensor: onnx.ITensorProto) => void): void {
  for (const inside of [graph ?? {}, ...(functions ?? []).map(({ node }) => ({ node: node ?? [] }))])
    visitGraph(inside, visit);
}

function visitGraph(graph: onnx.IGraphProto, visit: (tensor: onnx.ITensorProto) => void): void {
  for (const tensor of graph.initializer ?? []) visit(tensor);
  for (const { values, indices } of graph.sparseInitializer ?? []) {
    for (const tensor of [values, indices]) if (tensor) visit(tensor);
  }
  for (const node of graph.node ?? []) visitAttributes(node.attribute ?? [], visit);
}

function visitAttributes(attributes: readonly onnx.IAttributeProto[], visit: (tensor: onnx.ITensorProto) => void) {
  for (const { t, tensors, g, graphs } of attributes) {
    for (const tensor of [t, ...(tensors ?? [])]) if (tensor) visit(tensor);
    for (const inner of [g, ...(graphs ?? [])]) if (inner) visitGraph(inner, visit);
  }
}

/**
 * The files next to an ONNX file that hold its weights, each once, in the order of their first use.
 * @throws ModelError SOURCE_INVALID
 */
export function listExternalFiles(model: ModelLike): string[] {
  const locations = new Set<string>();
  visitTensors(model, (tensor) => {
    const part = externalPartOf(tensor);
    if (part && part.location !== OWN_FILE) locations.add(part.location);
  });
  return [...locations];
}

/** Onnxruntime maps files into memory; numbers begin at multiples of a cache line. */
export const ALIGNMENT = 64;

/** Bytes that move from an ONNX file into another file. */
export interface MovedPart {
  from: number;
  to: number;
  length: number;
}

/**
 * Lets tensors whose bytes were left in the ONNX file name another file.
 * @returns what must be written into it, in order
 */
export function moveOwnParts(model: ModelLike, name: string): MovedPart[] {
  const moved: MovedPart[] = [];
  let end = 0;
  visitTensors(model, (tensor) => {
    const part = externalPartOf(tensor);
    if (part?.location !== OWN_FILE) return;
    const { offset: from, length = 0 } = part;
    moved.push({ from, to: end, length });
    tensor.externalData = Object.entries({ location: name, offset: end, length }).map(([key, value]) => ({
      key,
      value: String(value),
    }));
    end = Math.ceil((end + length) / ALIGNMENT) * ALIGNMENT;
  });
  return moved;
}

/** Lets tensors name other files. */
export function relocateExternalFiles(model: ModelLike, names: ReadonlyMap<string, string>): void {
  visitTensors(model, (tensor) => {
    for (const entry of tensor.externalData ?? []) {
      if (entry.key === 'location') entry.value = names.get(entry.value ?? '') ?? entry.value ?? null;
    }
  });
}
