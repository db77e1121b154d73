/**
 * Quantized models calculate with whole numbers, which stand for floats by a scale and a zero point. Those of TensorFlow Lite take and give
 * whole numbers, too; most others take floats and quantize them first.
 */
import type { onnx } from 'onnx-proto';
import type { Constant } from './constants.ts';
import type { OnnxModelGraph } from './decode-onnx.ts';

const FLOAT = 1;
const UINT8 = 2;
/** The whole numbers of each element type. */
const RANGES: Record<number, [lowest: number, highest: number]> = { 2: [0, 255], 3: [-128, 127] };

/** Operators that change the form of a value and not its numbers. */
const FORMING = new Set(['Identity', 'Transpose', 'Reshape', 'Squeeze', 'Unsqueeze']);
const MAX_STEPS = 8;

/** The values that an input can take. */
export interface ValueRange {
  low: number;
  high: number;
}

/**
 * Gives a quantized model a float input and float outputs: the same model, with its first and last conversion inside.
 * @param graph it is changed
 * @returns the values that its input stands for, if that was quantized
 */
export function exposeFloats(
  graph: OnnxModelGraph,
  constantOf: (name: string) => Constant | undefined,
): ValueRange | undefined {
  const constants = new Set(graph.initializer.map(({ name }) => name));
  let range: ValueRange | undefined;
  for (const port of graph.input.filter(({ name }) => !constants.has(name)))
    range = exposeInput(graph, port, constantOf);
  for (const port of graph.output) exposeOutput(graph, port);
  return range;
}

function exposeInput(
  graph: OnnxModelGraph,
  port: onnx.IValueInfoProto,
  constantOf: (name: string) => Constant | undefined,
): ValueRange | undefined {
  const name = port.name ?? '';
  const tensor = port.type?.tensorType;
  const [lowest, highest] = RANGES[tensor?.elemType ?? 0] ?? [];
  const parameters = findParameters(graph, name);
  if (!tensor || lowest === undefined || highest === undefined || !parameters) return undefined;
  const [scaleName = '', zeroName = ''] = parameters;
  const scale = constantOf(scaleName)?.values;
  const zero = zeroName === '' ? [0] : constantOf(zeroName)?.values;
  if (scale?.length !== 1 || zero?.length !== 1) return undefined;
  const quantized = `${name}_quantized`;
  for (const reader of graph.node) reader.input = (reader.input ?? []).map((it) => (it === name ? quantized : it));
  const node = { opType: 'QuantizeLinear', input: [name, ...parameters], output: [quantized] };
  graph.node.unshift(node as OnnxModelGraph['node'][number]);
  tensor.elemType = FLOAT;
  const at = (value: number) => (value - (zero[0] ?? 0)) * (scale[0] ?? 1);
  return { low: at(lowest), high: at(highest) };
}

/** The values that a model's images had when it was quantized. */
export interface CalibratedRange extends ValueRange {
  /** Whether each range of the model has 0 in its middle, whatever the values are. */
  isSymmetric: boolean;
}

/** Operators that give the same numbers in another form or type. */
const KEEPING = new Set([...FORMING, 'Cast', 'Pad']);

/**
 * Reads which values a model's images had when it was quantized, if it takes floats and quantizes them first.
 * @returns undefined for other models
 */
export function readCalibratedRange(
  graph: OnnxModelGraph,
  input: string,
  constantOf: (name: string) => Constant | undefined,
): CalibratedRange | undefined {
  const steps = graph.node.filter(({ opType }) => opType === 'QuantizeLinear');
  let value = input;
  for (let count = 0; count < MAX_STEPS; count++) {
    const readers = graph.node.filter(({ opType, input }) => opType !== 'Shape' && input?.includes(value));
    const [first] = readers;
    if (!first || readers.some(({ opType }) => opType !== first.opType)) return undefined;
    if (first.opType === 'QuantizeLinear') {
      const own = rangeOf(first.input ?? [], constantOf);
      if (!own) return undefined;
      const isSymmetric = steps.every((step) => {
        const { low, high } = rangeOf(step.input ?? [], constantOf) ?? own;
        return Math.abs(low + high) <= (high - low) * CENTER_DISTANCE;
      });
      return { ...own, isSymmetric };
    }
    if (readers.length > 1 || !KEEPING.has(first.opType ?? '')) return undefined;
    value = first.output?.[0] ?? '';
  }
  return undefined;
}

/** Of 256 whole numbers, none is in the middle. */
const CENTER_DISTANCE = 0.01;

/** @param inputs of a QuantizeLinear: without a zero point, its numbers are bytes from 0 on */
function rangeOf(
  [, scaleName = '', zeroName = '']: readonly string[],
  constantOf: (name: string) => Constant | undefined,
): ValueRange | undefined {
  const scale = constantOf(scaleName)?.values;
  const point = zeroName === '' ? { elementType: UINT8, values: [0] } : constantOf(zeroName);
  const [lowest, highest] = RANGES[point?.elementType ?? 0] ?? [];
  const [zero] = point?.values ?? [];
  if (scale?.length !== 1 || point?.values?.length !== 1 || zero === undefined) return undefined;
  if (lowest === undefined || highest === undefined) return undefined;
  const at = (whole: number) => (whole - zero) * (scale[0] ?? 1);
  return { low: at(lowest), high: at(highest) };
}

/** Scale and zero point, if a value is read as a quantized one, perhaps after its form has changed. */
function findParameters(graph: OnnxModelGraph, name: string): string[] | undefined {
  let value = name;
  for (let count = 0; count < MAX_STEPS; count++) {
    const readers = graph.node.filter(({ input }) => input?.includes(value));
    const [first] = readers;
    if (!first || readers.some(({ opType }) => opType !== first.opType)) return undefined;
    if (first.opType === 'DequantizeLinear') return first.input?.slice(1);
    if (readers.length > 1 || !FORMING.has(first.opType ?? '')) return undefined;
    value = first.output?.[0] ?? '';
  }
  return undefined;
}

function exposeOutput(graph: OnnxModelGraph, port: onnx.IValueInfoProto): void {
  const name = port.name ?? '';
  const tensor = port.type?.tensorType;
  const producer = graph.node.find(({ output }) => output?.includes(name));
  if (!tensor || !RANGES[tensor.elemType ?? 0] || producer?.opType !== 'QuantizeLinear') return;
  const quantized = `${name}_quantized`;
  const [, ...parameters] = producer.input ?? [];
  for (const node of graph.node) {
    node.input = (node.input ?? []).map((it) => (it === name ? quantized : it));
    node.output = (node.output ?? []).map((it) => (it === name ? quantized : it));
  }
  const node = { opType: 'DequantizeLinear', input: [quantized, ...parameters], output: [name] };
  graph.node.push(node as OnnxModelGraph['node'][number]);
  tensor.elemType = FLOAT;
}
