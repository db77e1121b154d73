import { whyNotScores } from '../answer-shape.ts';
import type { OnnxModelGraph } from './decode-onnx.ts';
import { type GraphEnding, readEnding } from './final-activation.ts';
import { describeSizes, ELEMENT, type Port } from './ports.ts';

export interface AnswerOutput extends Port {
  /** Of what it gives for one image. Undefined if the file leaves it open. */
  imageSizes: readonly number[] | undefined;
  /** Undefined if the file leaves it open. */
  classCount: number | undefined;
  ending: GraphEnding;
  /** Why it cannot be the scores of classes; undefined if it can. */
  unfit: string | undefined;
}

const ANSWER_TYPES = new Set<number>([ELEMENT.float, ELEMENT.half, ELEMENT.double]);

/** @param batch of the images; undefined if the file leaves it open */
export function toAnswer(port: Port, graph: OnnxModelGraph, batch: number | undefined): AnswerOutput {
  const ending = readEnding(graph.node, port.name);
  const imageSizes = sizesPerImage(port, graph, batch);
  const classCount = imageSizes?.reduce((a, b) => a * b, 1);
  const isOneNumber = classCount === 1 || port.sizes?.length === 1;
  const isBest = ending.op === 'TopK' || (ending.op === 'ReduceMax' && isOneNumber);
  const unfit = isBest
    ? 'gives the best scores only, and not those of all classes'
    : whyUnfit(port, imageSizes, ending);
  return { ...port, imageSizes, classCount, ending, unfit };
}

function sizesPerImage({ name, sizes }: Port, graph: OnnxModelGraph, batch: number | undefined): number[] | undefined {
  const [first] = sizes ?? [];
  if (sizes?.length === 1) {
    // A model of a single image may give a row without a batch.
    if (batch === 1) return first === undefined ? undefined : [first];
    // So may one that was exported with one image and an open batch, if it drops all dimensions of 1.
    if (batch === undefined && first !== undefined) return [first];
    return batch === undefined && dropsDimensions(graph, name) ? undefined : [];
  }
  const inner = sizes?.slice(1);
  return inner?.every((size) => size !== undefined) ? inner.map(Number) : undefined;
}

/** Operators that choose the dimensions of their output. */
const SHAPING = new Set(['Squeeze', 'Reshape', 'Flatten', 'Gather', 'Slice', 'Gemm', 'MatMul', 'Conv']);

/** Whether a row of numbers may be that of a single image: a Squeeze of all dimensions of 1, or a Reshape to a row, does not keep the batch's. */
function dropsDimensions({ node }: OnnxModelGraph, output: string): boolean {
  const producers = new Map(node.flatMap((one) => (one.output ?? []).map((name) => [name, one] as const)));
  const seen = new Set<unknown>();
  let one = producers.get(output);
  while (one && !seen.has(one) && !SHAPING.has(one.opType ?? '')) {
    seen.add(one);
    one = producers.get(one.input?.[0] ?? '');
  }
  if (one?.opType === 'Reshape') return true;
  return one?.opType === 'Squeeze' && !one.input?.[1] && !one.attribute?.length;
}

function whyUnfit(
  { type, sizes }: Port,
  inner: readonly number[] | undefined,
  { op }: GraphEnding,
): string | undefined {
  if (type === 0)
    return "is a list or a map, as scikit-learn's zipmap writes (skl2onnx's options={'zipmap': False} gives the scores instead)";
  if (!ANSWER_TYPES.has(type))
    return 'gives whole numbers, such as the number of the best class, and not the scores of all classes';
  const why = inner && whyNotScores(inner, describeSizes(sizes));
  if (why !== undefined) return why;
  // Their softmax is another answer, and their sigmoid too.
  if (op === 'LogSigmoid')
    return 'gives the logarithms of sigmoids (LogSigmoid); without this last step it can be added with --activation logits-sigmoid';
  // As floats, which could be taken for a score.
  return op === 'ArgMax' ? 'gives the number of the best class, and not the scores of all classes' : undefined;
}
