/** Cuts out what a model does before its first learned operator, as a separate model that takes floats. */
import onnxProto, { type onnx } from 'onnx-proto';
import { embedBytes } from '../../onnx-reader/constants.ts';
import type { OnnxModel, OnnxModelGraph } from '../../onnx-reader/decode-onnx.ts';
import { externalPartOf } from '../../onnx-reader/external-weights.ts';
import { valuesRead } from '../../onnx-reader/inner-graphs.ts';
import type { ModelFront } from '../../onnx-reader/model-front.ts';
import { encodeNode, encodeTensor } from '../../onnx-writer/graph/encode-onnx.ts';
import { elementCount, type OnnxGraph } from '../../onnx-writer/graph/graph.ts';
import { FRONT_INPUT, FRONT_OUTPUT } from './front-ports.ts';

const FLOAT = 1;
/** A mean per pixel of the largest images needs this. A file may name the same bytes in many tensors, which memory would hold each time. */
const MAX_CONSTANT_BYTES = 256 * 1024 * 1024;
/** The opset that the converter writes. */
const CONVERTED = { irVersion: 8, opsetImport: [{ domain: '', version: 17 }] };

interface Parts {
  nodes: onnx.INodeProto[];
  initializer: onnx.ITensorProto[];
  input: { name: string; type: number };
  versions: Pick<onnx.IModelProto, 'irVersion' | 'opsetImport'>;
}

/**
 * Of an ONNX file.
 * @param file where its longer constants are
 * @returns undefined if a constant cannot be read, or if they are too large
 */
export function encodeFileFront(
  { model, graph }: { model: OnnxModel; graph: OnnxModelGraph },
  front: ModelFront,
  input: { name: string; type: number },
  file: string,
): Uint8Array | undefined {
  const nodes: onnx.INodeProto[] = front.places.map((place) => graph.node[place] ?? {});
  const read = new Set(nodes.flatMap(valuesRead));
  const constants = graph.initializer.filter(({ name }) => read.has(name ?? ''));
  if (externalBytesOf(constants, nodes) > MAX_CONSTANT_BYTES) return undefined;
  const initializer = constants.map((it) => embedBytes(it, file));
  const whole = nodes.map((node) => embedAttributes(node, file));
  if (!isComplete(initializer) || !isComplete(whole)) return undefined;
  const { irVersion, opsetImport } = model;
  return encodeParts({ nodes: whole, initializer, input, versions: { irVersion, opsetImport } }, front);
}

/** Of a model that was converted without being folded. Its image becomes floats. */
export function encodeConvertedFront(graph: OnnxGraph, front: ModelFront): Uint8Array {
  const used = front.places.flatMap((place) => graph.nodes[place] ?? []);
  const read = new Set(used.flatMap(({ inputs }) => inputs));
  const initializer = [...graph.constants].filter(([name]) => read.has(name)).map((it) => encodeTensor(...it));
  const input = { name: graph.inputs[0]?.name ?? '', type: FLOAT };
  return encodeParts({ nodes: used.map(encodeNode), initializer, input, versions: CONVERTED }, front);
}

/** An upper bound: no element has more than eight bytes. */
function externalBytesOf(constants: readonly onnx.ITensorProto[], nodes: readonly onnx.INodeProto[]): number {
  const inNodes = nodes.flatMap(({ attribute }) => attribute?.flatMap(({ t }) => t ?? []) ?? []);
  const external = [...constants, ...inNodes].filter((tensor) => externalPartOf(tensor));
  return external.reduce((sum, { dims }) => sum + 8 * elementCount((dims ?? []).map(Number)), 0);
}

function embedAttributes(node: onnx.INodeProto, file: string): onnx.INodeProto | undefined {
  if (!node.attribute?.some(({ t }) => t)) return node;
  const attribute = node.attribute.map((it) => {
    const t = it.t ? embedBytes(it.t, file) : undefined;
    return it.t && !t ? undefined : { ...it, ...(t ? { t } : {}) };
  });
  return isComplete(attribute) ? { ...node, attribute } : undefined;
}

function isComplete<T>(values: readonly (T | undefined)[]): values is T[] {
  return values.every((value) => value !== undefined);
}

function encodeParts({ nodes, initializer, input, versions }: Parts, { ends }: ModelFront): Uint8Array {
  const cast = (from: string, to: string, type: number): onnx.INodeProto => ({
    opType: 'Cast',
    input: [from],
    output: [to],
    attribute: [{ name: 'to', type: onnxProto.onnx.AttributeProto.AttributeType.INT, i: type }],
  });
  const outputs = ends.map((end, i) => cast(end, `${FRONT_OUTPUT}${i}`, FLOAT));
  const graph = {
    name: 'front',
    node: [cast(FRONT_INPUT, input.name, input.type), ...nodes, ...outputs],
    initializer,
    input: [{ name: FRONT_INPUT, type: { tensorType: { elemType: FLOAT } } }],
    output: outputs.map(({ output }) => ({ name: output?.[0] ?? '', type: { tensorType: { elemType: FLOAT } } })),
  };
  return onnxProto.onnx.ModelProto.encode(onnxProto.onnx.ModelProto.create({ ...versions, graph })).finish();
}
