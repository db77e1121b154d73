/**
 * Outputs of a model besides its labels: further heads, embeddings and raw tensors. What a model declares, and what a result stores.
 * Part of the wire format: see contract.ts.
 */
import * as z from 'zod';

export const OutputName = z
  .string()
  .regex(/^[A-Za-z][A-Za-z0-9_-]{0,63}$/, 'a name of 1 to 64 letters, digits, "_" or "-" that begins with a letter');

/** How many outputs a model may declare. */
export const MAX_OUTPUTS = 16;
/** Bytes of all embeddings and tensors of one result, before base64 makes them a third longer. */
export const MAX_OUTPUT_BYTES = 65_536;
/**
 * Characters of one result as JSON. It is sent to each server for each prediction that shares the work, at most 100, and Redis
 * disconnects a server for which more than 32 MB wait.
 */
export const MAX_RESULT_LENGTH = 262_144;

/** Little-endian. */
export const TENSOR_TYPES = ['float32', 'int32', 'uint8'] as const;
export type TensorType = (typeof TENSOR_TYPES)[number];

export const BYTES_PER_ELEMENT = { float32: 4, int32: 4, uint8: 1 } as const satisfies Record<TensorType, number>;

export const Task = z.enum(['single-label', 'multi-label']);
export type Task = z.infer<typeof Task>;

/** Labels with a lower score are omitted unless a caller asks for them. */
export const Threshold = z.number('a number between 0 and 1').min(0).max(1);

/** `index` is the zero-based index of the class in the model's output, `score` its probability in 0..1. */
export const Label = z.object({ index: z.number().int().min(0), name: z.string(), score: z.number() });
export type Label = z.infer<typeof Label>;

/** An output that a model has for each image. Shapes are without the batch. */
export const ModelOutput = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('labels'),
    name: OutputName,
    classCount: z.number().int().positive(),
    task: Task,
    threshold: Threshold.optional(),
  }),
  z.object({ type: z.literal('embedding'), name: OutputName, size: z.number().int().positive() }),
  z.object({
    type: z.literal('tensor'),
    name: OutputName,
    dtype: z.enum(TENSOR_TYPES),
    shape: z.array(z.number().int().positive()),
  }),
]);
export type ModelOutput = z.infer<typeof ModelOutput>;

/** What a result stores of one output. `data` is base64. */
export const StoredOutput = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('labels'),
    name: OutputName,
    task: Task,
    threshold: Threshold.optional(),
    labels: z.array(Label),
  }),
  z.object({ type: z.literal('embedding'), name: OutputName, size: z.number().int().positive(), data: z.string() }),
  z.object({
    type: z.literal('tensor'),
    name: OutputName,
    dtype: z.enum(TENSOR_TYPES),
    shape: z.array(z.number().int().positive()),
    data: z.string(),
  }),
]);
export type StoredOutput = z.infer<typeof StoredOutput>;

const KNOWN_TYPES = new Set<unknown>(StoredOutput.options.map((option) => option.shape.type.value));

/** Outputs of a type that only a later release knows are dropped; the rest of the result stays readable. */
export const StoredOutputs = z
  .array(z.looseObject({ type: z.unknown() }))
  .transform((outputs) => outputs.filter(({ type }) => KNOWN_TYPES.has(type)))
  .pipe(z.array(StoredOutput));

/** The element type of an output as an engine gives it. */
export function dtypeOf(output: ModelOutput): TensorType {
  return output.type === 'tensor' ? output.dtype : 'float32';
}

/** Elements of an output per image. */
export function elementsOf(output: ModelOutput): number {
  switch (output.type) {
    case 'labels':
      return output.classCount;
    case 'embedding':
      return output.size;
    case 'tensor':
      return output.shape.reduce((product, size) => product * size, 1);
    default:
      return output satisfies never;
  }
}

/** Bytes that the embeddings and tensors of one image take; labels are bounded by their number. */
export function storedBytesOf(outputs: readonly ModelOutput[]): number {
  return outputs
    .filter(({ type }) => type !== 'labels')
    .reduce((sum, output) => sum + elementsOf(output) * BYTES_PER_ELEMENT[dtypeOf(output)], 0);
}

/** Such as `color (labels), features (embedding)`, for messages. */
export function listOutputs(outputs: readonly { name: string; type: string }[]): string {
  return outputs.map(({ name, type }) => `${name} (${type})`).join(', ') || 'none';
}
