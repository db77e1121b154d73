/** What the code of a model says about the model: the fields that `defineModel` takes besides `load`. */
import { Task, Threshold } from '@inferql/queue/outputs';
import * as z from 'zod';
import { ModelError } from '../errors.ts';
import { relativePath } from '../files/relative-path.ts';
import { checkCrop, inputFields } from './input-spec.ts';
import { outputSpecs } from './output-spec.ts';
import { describeIssue } from './spec.ts';

/** Class names, or a file with them, relative to the model's folder. */
const labels = z.union([z.array(z.string().min(1)).min(1), relativePath], 'a list of names, or a file with them');

/** The code gets the pixels as they are and normalizes them. */
const moduleInput = inputFields.omit({ normalization: true, layout: true }).superRefine((input, context) => {
  const crop = checkCrop(input);
  if (crop) context.addIssue({ code: 'custom', path: [crop.field], message: crop.message });
});

const declaration = z.strictObject({
  /** The name of the model's folder. It reveals a model that was copied to another folder. */
  name: z.string().optional(),
  description: z.string().max(2000).optional(),
  /** The pixels that the model takes, as in `model.json5`. */
  input: moduleInput.optional(),
  /** Absent: `labels.json` next to the code, unless there are `outputs`. */
  labels: labels.optional(),
  /** Of the labels: whether an image has one or several, and which are shown. */
  output: z.strictObject({ task: Task.optional(), threshold: Threshold.optional() }).optional(),
  /** Heads, embeddings and tensors besides the labels. */
  outputs: outputSpecs.optional(),
});

/** The fields that `defineModel` takes besides `load`. */
export type ModuleDeclaration = z.input<typeof declaration>;

/**
 * Checks what a module declares.
 * @param fields those of its default export, without `load`
 * @param model the name of the model's folder
 * @param file the name that errors show
 * @returns the fields of a spec
 * @throws ModelError SPEC_INVALID that names the file, each field and what was expected
 */
export function parseDeclaration(fields: unknown, model: string, file: string): Omit<ModuleDeclaration, 'name'> {
  const parsed = declaration.safeParse(fields);
  const lines = parsed.success ? [] : parsed.error.issues.flatMap(describeIssue);
  const { name, ...rest } = fields as ModuleDeclaration;
  if (parsed.success && name !== undefined && name !== model) {
    lines.push(`  name: expected ${model}, the name of its folder, found ${name}`);
  }
  if (lines.length === 0) return rest;
  throw new ModelError('SPEC_INVALID', `${file} does not declare a model:\n${lines.join('\n')}`);
}
