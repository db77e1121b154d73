import { ModelError } from '../../errors.ts';
import { dropUnused, GraphIndex } from '../graph/fold-graph.ts';
import { elementCount, floatTensor, type OnnxGraph, type OnnxNode, type Tensor } from '../graph/graph.ts';
import { cutAfter, quantizedNodes, tensorsToQuantize } from './quantized-nodes.ts';

/**
 * Seven bits instead of eight: CPUs without VNNI add two products in 16 bits, which eight-bit weights would saturate.
 */
const WEIGHT_LEVELS = 64;
/** Biases are int32, and sums are added to them. */
const MAX_BIAS_CODE = 2 ** 30;

interface ByteScale {
  scale: number;
  zeroPoint: number;
}

/**
 * Turns a float graph into one that onnxruntime runs on bytes: uint8 activations by their calibrated ranges, int8
 * weights with one scale per channel, written as pairs of QuantizeLinear and DequantizeLinear.
 * @param ranges the smallest and largest value of every tensor of `tensorsToQuantize`
 * @throws ModelError SPEC_INVALID if a range is missing
 */
export function quantizeGraph(graph: OnnxGraph, ranges: Record<string, readonly [number, number]>): void {
  const quantized = quantizedNodes(graph);
  const scales = new Map<string, ByteScale>();
  for (const name of tensorsToQuantize(graph)) {
    const range = ranges[name];
    if (!range) throw new ModelError('SPEC_INVALID', `calibration.json has no range of ${name}: calibrate again`);
    scales.set(name, scaleOf(withinCut(graph, name, range)));
  }
  shareScales(graph, scales);
  dropCuts(graph, quantized, scales);
  for (const node of quantized) if (node.op === 'Conv' || node.op === 'Gemm') quantizeWeights(graph, node, scales);
  quantizeActivations(graph, scales);
  dropUnused(graph);
}

/** What comes out of an activation with bounds never leaves them, whatever headroom calibration gave. */
function withinCut(graph: OnnxGraph, name: string, [low, high]: readonly [number, number]): [number, number] {
  const cut = graph.nodes.find((node) => node.outputs[0] === name && node.op === 'Clip');
  const [, min, max] = (cut?.inputs ?? []).map((input) => graph.constants.get(input)?.data[0]);
  return [
    Math.max(low, Number(min ?? Number.NEGATIVE_INFINITY)),
    Math.min(high, Number(max ?? Number.POSITIVE_INFINITY)),
  ];
}

function scaleOf([low, high]: readonly [number, number]): ByteScale {
  // Zero must be exact: padding consists of it.
  const [min, max] = [Math.min(low, 0), Math.max(high, 0)];
  const scale = Math.max((max - min) / 255, 1e-8);
  return { scale, zeroPoint: Math.min(Math.max(Math.round(-min / scale), 0), 255) };
}

/** A pooling of maxima passes bytes on: its output must mean what its input means. */
function shareScales(graph: OnnxGraph, scales: Map<string, ByteScale>): void {
  for (const node of graph.nodes) {
    const [input = '', output = ''] = [node.inputs[0], node.outputs[0]];
    const scale = scales.get(input);
    if (node.op === 'MaxPool' && scale && scales.has(output)) scales.set(output, scale);
  }
}

/** An activation that cuts at zero is done by rounding to bytes whose lowest means zero. */
function dropCuts(graph: OnnxGraph, quantized: ReadonlySet<OnnxNode>, scales: Map<string, ByteScale>): void {
  for (const node of quantized) {
    const index = new GraphIndex(graph);
    const cut = cutAfter(index, node);
    const scale = scales.get(cut?.outputs[0] ?? '');
    if (!cut || scale?.zeroPoint !== 0) continue;
    if (cut.op === 'Clip') {
      const [min = 0, max = Number.POSITIVE_INFINITY] = cut.inputs.slice(1).map((it) => index.constant(it)?.data[0]);
      if (Number(min) > 0 || scale.scale * 255 > Number(max) * 1.0001) continue;
    }
    index.absorbAfter(node, cut);
  }
}

function quantizeWeights(graph: OnnxGraph, node: OnnxNode, scales: Map<string, ByteScale>): void {
  const [input = '', kernelName = '', biasName] = node.inputs;
  const kernel = graph.constants.get(kernelName);
  const inputScale = scales.get(input)?.scale;
  if (!kernel || inputScale === undefined) return;
  const axis = node.op === 'Conv' ? 0 : 1;
  const channels = kernel.shape[axis] ?? 1;
  const inner = elementCount(kernel.shape.slice(axis + 1));
  const values = kernel.data as Float32Array;
  const largest = new Float32Array(channels);
  const channelOf = (i: number) => Math.floor(i / inner) % channels;
  for (let i = 0; i < values.length; i++) {
    const channel = channelOf(i);
    largest[channel] = Math.max(largest[channel] ?? 0, Math.abs(values[i] ?? 0));
  }
  const bias = biasName === undefined ? undefined : (graph.constants.get(biasName)?.data as Float32Array | undefined);
  const weightScales = largest.map((value, channel) => {
    // A channel that training has switched off has weights near zero, whose scale a bias may be too large for.
    const least = Math.abs(bias?.[channel] ?? 0) / (inputScale * MAX_BIAS_CODE);
    return Math.max(value / WEIGHT_LEVELS, least, 1e-10);
  });
  const codes = Int8Array.from(values, (value, i) => Math.round(value / (weightScales[channelOf(i)] ?? 1)));
  const id = node.outputs[0] ?? '';
  const dequantize = (name: string, tensor: Tensor, scale: Float32Array, along: number): string => {
    graph.constants.set(`${name}_q`, tensor);
    graph.constants.set(`${name}_s`, floatTensor([channels], scale));
    const zero = tensor.type === 'int8' ? new Int8Array(channels) : new Int32Array(channels);
    graph.constants.set(`${name}_z`, { type: tensor.type, shape: [channels], data: zero });
    const inputs = [`${name}_q`, `${name}_s`, `${name}_z`];
    const outputs = [`${name}_d`];
    const position = graph.nodes.indexOf(node);
    graph.nodes.splice(position, 0, { op: 'DequantizeLinear', inputs, outputs, attributes: { axis: { int: along } } });
    return outputs[0] ?? '';
  };
  node.inputs[1] = dequantize(`${id}_w`, { type: 'int8', shape: kernel.shape, data: codes }, weightScales, axis);
  if (!bias) return;
  const biasScales = weightScales.map((scale) => scale * inputScale);
  const biasCodes = Int32Array.from(bias, (value, i) => Math.round(value / (biasScales[i] ?? 1)));
  node.inputs[2] = dequantize(`${id}_b`, { type: 'int32', shape: [channels], data: biasCodes }, biasScales, 0);
}

/** Puts a pair of nodes after every tensor that has a scale; readers of the tensor now read the pair's result. */
function quantizeActivations(graph: OnnxGraph, scales: Map<string, ByteScale>): void {
  const nodes: OnnxNode[] = [];
  for (const node of graph.nodes) {
    nodes.push({ ...node, inputs: node.inputs.map((input) => (scales.has(input) ? `${input}_dq` : input)) });
    for (const output of node.outputs) {
      const scale = scales.get(output);
      if (!scale) continue;
      graph.constants.set(`${output}_s`, floatTensor([], [scale.scale]));
      graph.constants.set(`${output}_z`, { type: 'uint8', shape: [], data: Uint8Array.of(scale.zeroPoint) });
      const parameters = [`${output}_s`, `${output}_z`];
      nodes.push({ op: 'QuantizeLinear', inputs: [output, ...parameters], outputs: [`${output}_q`], attributes: {} });
      nodes.push({
        op: 'DequantizeLinear',
        inputs: [`${output}_q`, ...parameters],
        outputs: [`${output}_dq`],
        attributes: {},
      });
    }
  }
  graph.nodes = nodes;
}
