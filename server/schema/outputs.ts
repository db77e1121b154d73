/** Outputs of a model besides its labels, as results give them. */
import { DEFAULT_TOP_K, MAX_LABELS } from '@inferql/queue/contract';
import { type ErrorCode, InferqlError } from '@inferql/queue/error-codes';
import { type Label, listOutputs, type StoredOutput, type Task, type TENSOR_TYPES } from '@inferql/queue/outputs';
import { builder } from './builder.ts';
import { ErrorInterface } from './error-types.ts';

type Stored<Type extends StoredOutput['type']> = Extract<StoredOutput, { type: Type }>;

/** A head, and how many labels the request wants if `labels` does not say. */
interface HeadView {
  head: Stored<'labels'>;
  topK: number;
}

interface OutputRefusal {
  code: ErrorCode;
  message: string;
  available: string[];
}

/** Enough digits for a float32 to be read back unchanged. */
const FLOAT_DIGITS = 9;

export const TaskEnum = builder.enumType('Task', {
  description: 'How many classes an image can have.',
  values: {
    SINGLE_LABEL: { value: 'single-label', description: 'One class: the scores of all classes sum to 1.' },
    MULTI_LABEL: {
      value: 'multi-label',
      description: 'Any number of classes, each with a separate score from 0 to 1.',
    },
  } as const satisfies Record<string, { value: Task; description: string }>,
});

export const TensorTypeEnum = builder.enumType('TensorType', {
  description: 'The type of the elements of a tensor. Bytes are little-endian.',
  values: {
    FLOAT32: { value: 'float32', description: '4 bytes, IEEE 754.' },
    INT32: { value: 'int32', description: '4 bytes, signed.' },
    UINT8: { value: 'uint8', description: '1 byte, unsigned.' },
  } as const satisfies Record<string, { value: (typeof TENSOR_TYPES)[number]; description: string }>,
});

export const LabelRef = builder.objectRef<Label>('Label').implement({
  description: 'One class of the model, with its score for this image.',
  fields: (t) => ({
    name: t.exposeString('name', { description: "The name of the class, from the model's labels." }),
    index: t.exposeInt('index', { description: "Zero-based index of the class in the model's output." }),
    score: t.exposeFloat('score', { description: 'The probability of the class, between 0 and 1.' }),
  }),
});

const TOP_K = `Maximum number of labels, 1 to ${MAX_LABELS}. Default: the topK of the mutation in its own response, otherwise ${DEFAULT_TOP_K}.`;
const THRESHOLD =
  'Only labels with at least this score, 0 to 1. Default: the threshold of the model, if it has one. 0 shows all.';

export const labelArguments = builder.args((t) => ({
  topK: t.int({ description: TOP_K }),
  threshold: t.float({ description: THRESHOLD }),
}));

/**
 * The best of the stored labels.
 * @throws InferqlError INVALID_INPUT if topK or threshold is out of its range
 */
export function selectLabels(
  labels: readonly Label[],
  { topK, threshold = 0 }: { topK: number; threshold: number | undefined },
): Label[] {
  if (threshold < 0 || threshold > 1) {
    throw new InferqlError('INVALID_INPUT', { message: 'threshold must be between 0 and 1.' });
  }
  return labels.slice(0, checkTopK(topK)).filter(({ score }) => score >= threshold);
}

/** @throws InferqlError INVALID_INPUT if topK is out of its range. */
export function checkTopK(topK: number): number {
  if (topK >= 1 && topK <= MAX_LABELS) return topK;
  throw new InferqlError('INVALID_INPUT', { message: `topK must be between 1 and ${MAX_LABELS}.` });
}

export const HeadRef = builder.objectRef<HeadView>('Head').implement({
  description: 'An additional classification of the same image, such as its color in addition to its kind.',
  fields: (t) => ({
    name: t.string({ description: 'Its name, from `Model.outputs`.', resolve: ({ head }) => head.name }),
    task: t.field({
      type: TaskEnum,
      description: 'Whether an image has exactly one class, or any number of them.',
      resolve: ({ head }) => head.task,
    }),
    threshold: t.float({
      nullable: true,
      description: 'Labels with a lower score are omitted unless the argument `threshold` says otherwise.',
      resolve: ({ head }) => head.threshold ?? null,
    }),
    labels: t.field({
      type: [LabelRef],
      description: 'The best labels, by descending score. A prediction stores as many as of `PredictionResult.labels`.',
      args: labelArguments,
      resolve: ({ head, topK }, args) =>
        selectLabels(head.labels, { topK: args.topK ?? topK, threshold: args.threshold ?? head.threshold }),
    }),
  }),
});

export const EmbeddingRef = builder.objectRef<Stored<'embedding'>>('Embedding').implement({
  description: 'A vector that describes the image, for search and comparison.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name, from `Model.outputs`.' }),
    size: t.exposeInt('size', { description: 'The number of elements.' }),
    values: t.floatList({
      description: 'The elements. `base64` is shorter and faster to parse.',
      resolve: ({ data }) => Array.from(readFloats(data), (value) => Number(value.toPrecision(FLOAT_DIGITS))),
    }),
    base64: t.string({
      description: 'The elements as little-endian float32, in base64.',
      resolve: ({ data }) => data,
    }),
  }),
});

export const TensorRef = builder.objectRef<Stored<'tensor'>>('Tensor').implement({
  description: 'A raw output of the model.',
  fields: (t) => ({
    name: t.exposeString('name', { description: 'Its name, from `Model.outputs`.' }),
    dtype: t.expose('dtype', { type: TensorTypeEnum, description: 'The type of its elements.' }),
    shape: t.exposeIntList('shape', { description: 'Its dimensions, without the batch. Empty for a single number.' }),
    base64: t.string({
      description: 'Its elements, row-major and little-endian, in base64.',
      resolve: ({ data }) => data,
    }),
  }),
});

const OutputUnavailableRef = builder.objectRef<OutputRefusal>('OutputUnavailableError').implement({
  description:
    'The model has no output of that name and type (`OUTPUT_UNAVAILABLE`). The rest of the result is not affected.',
  interfaces: [ErrorInterface],
  fields: (t) => ({
    available: t.exposeStringList('available', {
      description: "The names of the model's outputs of that type.",
    }),
  }),
});

export const HeadResult = builder.unionType('HeadResult', {
  description: 'A head, or why there is none of that name.',
  types: [HeadRef, OutputUnavailableRef],
  resolveType: (value) => ('available' in value ? 'OutputUnavailableError' : 'Head'),
});

export const EmbeddingResult = builder.unionType('EmbeddingResult', {
  description: 'An embedding, or why there is none.',
  types: [EmbeddingRef, OutputUnavailableRef],
  resolveType: (value) => ('available' in value ? 'OutputUnavailableError' : 'Embedding'),
});

export const TensorResult = builder.unionType('TensorResult', {
  description: 'A tensor, or why there is none of that name.',
  types: [TensorRef, OutputUnavailableRef],
  resolveType: (value) => ('available' in value ? 'OutputUnavailableError' : 'Tensor'),
});

/** What the output fields of a result read. */
interface OutputsView {
  result: { outputs?: StoredOutput[] | undefined };
  topK: number;
}

export function listHeads({ result, topK }: OutputsView): HeadView[] {
  return ofType(result.outputs, 'labels').map((head) => ({ head, topK }));
}

export function findHead(view: OutputsView, name: string): HeadView | OutputRefusal {
  return listHeads(view).find(({ head }) => head.name === name) ?? refuse(view, 'labels', name);
}

export function listEmbeddings({ result }: OutputsView): Stored<'embedding'>[] {
  return ofType(result.outputs, 'embedding');
}

/** @param name undefined: the first one */
export function findEmbedding(view: OutputsView, name: string | undefined): Stored<'embedding'> | OutputRefusal {
  const all = listEmbeddings(view);
  return (name === undefined ? all[0] : all.find((one) => one.name === name)) ?? refuse(view, 'embedding', name);
}

export function listTensors({ result }: OutputsView): Stored<'tensor'>[] {
  return ofType(result.outputs, 'tensor');
}

export function findTensor(view: OutputsView, name: string): Stored<'tensor'> | OutputRefusal {
  return listTensors(view).find((one) => one.name === name) ?? refuse(view, 'tensor', name);
}

function ofType<Type extends StoredOutput['type']>(outputs: StoredOutput[] | undefined, type: Type): Stored<Type>[] {
  return (outputs ?? []).filter((output): output is Stored<Type> => output.type === type);
}

const NOUNS = { labels: 'head', embedding: 'embedding', tensor: 'tensor' } as const;

function refuse({ result }: OutputsView, type: StoredOutput['type'], name: string | undefined): OutputRefusal {
  const what = name === undefined ? NOUNS[type] : `${NOUNS[type]} named ${JSON.stringify(name)}`;
  return {
    code: 'OUTPUT_UNAVAILABLE',
    message: `This model has no ${what}. Its outputs besides labels: ${listOutputs(result.outputs ?? [])}.`,
    available: ofType(result.outputs, type).map((output) => output.name),
  };
}

/** The decoded text is copied, since a small Buffer may begin anywhere in a shared one. */
function readFloats(base64: string): Float32Array {
  return new Float32Array(Uint8Array.from(Buffer.from(base64, 'base64')).buffer);
}
