import { open, writeFile } from 'node:fs/promises';
import path from 'node:path';
import onnxProto from 'onnx-proto';
import { ALIGNMENT } from '../../onnx-reader/external-weights.ts';
import {
  type Attribute,
  BATCH,
  type ElementType,
  type GraphPort,
  type OnnxGraph,
  type OnnxNode,
  type Tensor,
} from './graph.ts';

const { onnx } = onnxProto;

/** Opset 17: the first with LayerNormalization; IR version 8 belongs to it. */
const OPSET = 17;
const IR_VERSION = 8;

const ELEMENT_TYPES: Record<ElementType, number> = {
  float32: onnx.TensorProto.DataType.FLOAT,
  uint8: onnx.TensorProto.DataType.UINT8,
  int8: onnx.TensorProto.DataType.INT8,
  int32: onnx.TensorProto.DataType.INT32,
  int64: onnx.TensorProto.DataType.INT64,
  bool: onnx.TensorProto.DataType.BOOL,
};

/** The bytes of an ONNX file with its weights inside. */
export function encodeModel(graph: OnnxGraph, name: string): Uint8Array {
  return encodeFile(
    graph,
    name,
    [...graph.constants].map(([key, tensor]) => encodeTensor(key, tensor)),
  );
}

const WEIGHTS_FILE = 'weights.bin';
/** Shorter constants stay in the ONNX file: shapes must be known when it is read. */
const MIN_EXTERNAL_BYTES = 4096;

/**
 * Writes a graph as model.onnx into a folder, with longer weights next to it. They are never encoded as a whole, and onnxruntime maps them.
 */
export async function writeModel(graph: OnnxGraph, name: string, folder: string): Promise<void> {
  const target = await open(path.join(folder, WEIGHTS_FILE), 'w');
  let end = 0;
  const tensors: ReturnType<typeof encodeTensor>[] = [];
  try {
    for (const [key, tensor] of graph.constants) {
      const encoded = encodeTensor(key, tensor);
      const { rawData, ...rest } = encoded;
      if (rawData.length < MIN_EXTERNAL_BYTES) {
        tensors.push(encoded);
        continue;
      }
      const offset = Math.ceil(end / ALIGNMENT) * ALIGNMENT;
      end = offset + rawData.length;
      for (let at = 0; at < rawData.length; ) {
        at += (await target.write(rawData, at, rawData.length - at, offset + at)).bytesWritten;
      }
      const place = { location: WEIGHTS_FILE, offset, length: rawData.length };
      const externalData = Object.entries(place).map(([key, value]) => ({ key, value: String(value) }));
      tensors.push({ ...rest, externalData, dataLocation: onnx.TensorProto.DataLocation.EXTERNAL } as never);
    }
  } finally {
    await target.close();
  }
  await writeFile(path.join(folder, 'model.onnx'), encodeFile(graph, name, tensors));
}

function encodeFile(graph: OnnxGraph, name: string, initializer: ReturnType<typeof encodeTensor>[]): Uint8Array {
  const message = onnx.ModelProto.create({
    irVersion: IR_VERSION,
    opsetImport: [{ domain: '', version: OPSET }],
    producerName: 'inferql',
    graph: {
      name,
      node: graph.nodes.map(encodeNode),
      initializer,
      input: graph.inputs.map(encodePort),
      output: graph.outputs.map(encodePort),
    },
  });
  return onnx.ModelProto.encode(message).finish();
}

/** A node as onnx-proto takes it. */
export function encodeNode(node: OnnxNode) {
  return {
    opType: node.op,
    name: node.outputs[0] ?? null,
    input: node.inputs,
    output: node.outputs,
    attribute: Object.entries(node.attributes).map(([key, value]) => encodeAttribute(key, value)),
  };
}

function encodeAttribute(name: string, value: Attribute) {
  const { AttributeType } = onnx.AttributeProto;
  if ('int' in value) return { name, type: AttributeType.INT, i: value.int };
  if ('ints' in value) return { name, type: AttributeType.INTS, ints: [...value.ints] };
  if ('float' in value) return { name, type: AttributeType.FLOAT, f: value.float };
  return { name, type: AttributeType.STRING, s: new TextEncoder().encode(value.text) };
}

/** A constant as onnx-proto takes it. */
export function encodeTensor(name: string, { type, shape, data }: Tensor) {
  return {
    name,
    dataType: ELEMENT_TYPES[type],
    dims: [...shape],
    rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  };
}

/** An input or output as onnx-proto takes it. */
export function encodePort({ name, type, shape }: GraphPort) {
  const dim = shape.map((size) =>
    size < 0 ? { dimParam: size === BATCH ? 'batch' : `size${-size}` } : { dimValue: size },
  );
  return { name, type: { tensorType: { elemType: ELEMENT_TYPES[type], shape: { dim } } } };
}
