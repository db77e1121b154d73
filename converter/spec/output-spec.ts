/** `outputs` of a spec: what a model gives besides its labels. */
import path from 'node:path';
import {
  listOutputs,
  MAX_OUTPUT_BYTES,
  MAX_OUTPUTS,
  type ModelOutput,
  OutputName,
  storedBytesOf,
  Task,
  TENSOR_TYPES,
  Threshold,
} from '@inferql/queue/outputs';
import * as z from 'zod';
import { relativePath } from '../files/relative-path.ts';
import { readLabels } from './labels.ts';

export const activation = z.enum(['softmax', 'logits', 'sigmoid', 'logits-sigmoid']);
type Activation = z.infer<typeof activation>;

const size = z.int().min(1).max(1_000_000);
/** The output's name in the model's file; absent: the same as here. */
const from = z.string().min(1).optional();

const outputSpec = z.discriminatedUnion(
  'type',
  [
    z.strictObject({
      type: z.literal('labels'),
      /** The names of its classes, or a file with them, relative to the model's file. */
      labels: z.union([z.array(z.string().min(1)).min(1), relativePath], 'a list of names, or a file with them'),
      /** What the model's output holds. Your own engine returns probabilities. */
      activation: activation.default('softmax'),
      /** @default multi-label for a sigmoid over more than two classes */
      task: Task.optional(),
      threshold: Threshold.optional(),
      from,
    }),
    z.strictObject({ type: z.literal('embedding'), size, from }),
    z.strictObject({
      type: z.literal('tensor'),
      /** Without the batch. */
      shape: z.array(size).max(8),
      dtype: z.enum(TENSOR_TYPES).default('float32'),
      from,
    }),
  ],
  'one of the types labels, embedding and tensor',
);
type OutputSpec = z.infer<typeof outputSpec>;

/** By name, in the order in which results give them. */
export const outputSpecs = z.record(OutputName, outputSpec).superRefine((specs, context) => {
  const names = Object.keys(specs);
  const message =
    names.length === 0 || names.length > MAX_OUTPUTS
      ? `1 to ${MAX_OUTPUTS} outputs, found ${names.length}`
      : checkBytes(names.map((name) => declareOutput(name, specs[name]!, [])));
  if (message !== undefined) context.addIssue({ code: 'custom', message });
});

function checkBytes(outputs: readonly ModelOutput[]): string | undefined {
  const bytes = storedBytesOf(outputs);
  if (bytes <= MAX_OUTPUT_BYTES) return undefined;
  return `embeddings and tensors of at most ${MAX_OUTPUT_BYTES} bytes per image, found ${bytes} in ${listOutputs(outputs)}`;
}

/** An output as the specification says, with the names of its classes, and the name of it in the model's file. */
export type PreparedOutput = ModelOutput & {
  labels?: readonly string[];
  activation?: Activation;
  from: string;
};

/** A sigmoid per class allows several classes per image; a single one distinguishes two classes. */
export function taskOf(
  { task, activation }: { task?: z.infer<typeof Task> | undefined; activation: Activation },
  classCount: number,
): z.infer<typeof Task> {
  return task ?? (activation.endsWith('sigmoid') && classCount > 2 ? 'multi-label' : 'single-label');
}

function declareOutput(name: string, spec: OutputSpec, labels: readonly string[]): PreparedOutput {
  const { from = name } = spec;
  switch (spec.type) {
    case 'labels': {
      const { type, threshold, activation } = spec;
      const task = taskOf(spec, labels.length);
      const bounds = threshold === undefined ? {} : { threshold };
      return { type, name, classCount: labels.length, task, ...bounds, labels, activation, from };
    }
    case 'embedding':
      return { type: spec.type, name, size: spec.size, from };
    case 'tensor':
      return { type: spec.type, name, dtype: spec.dtype, shape: spec.shape, from };
    default:
      return spec satisfies never;
  }
}

/** Files with the names of classes, relative to the model's file's folder. */
export function listLabelFiles(specs: z.infer<typeof outputSpecs> = {}): string[] {
  return Object.values(specs).flatMap((spec) =>
    spec.type === 'labels' && typeof spec.labels === 'string' ? [spec.labels] : [],
  );
}

/**
 * Reads the names of the classes of each head.
 * @param folder holds the files that the specification names
 * @throws ModelError SOURCE_INVALID
 */
export async function prepareOutputs(
  specs: z.infer<typeof outputSpecs> = {},
  folder: string,
): Promise<PreparedOutput[]> {
  return Promise.all(
    Object.entries(specs).map(async ([name, spec]) => {
      if (spec.type !== 'labels') return declareOutput(name, spec, []);
      const labels = typeof spec.labels === 'string' ? await readLabels(path.join(folder, spec.labels)) : spec.labels;
      return declareOutput(name, spec, labels);
    }),
  );
}
