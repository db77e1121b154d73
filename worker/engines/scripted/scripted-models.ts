/** Models without files, served by the engine of scripted answers: the value of INFERQL_SCRIPTED_MODELS. */
import { createHash } from 'node:crypto';
import { queueSpec } from '@inferql/converter/spec/spec';
import { ModelName, ServedModel } from '@inferql/queue/contract';
import { BATCHING_DEFAULTS, QUEUE_DEFAULTS } from '@inferql/queue/models/queue-defaults';
import * as z from 'zod';
import type { ServableModel } from '../../serving/servable-model.ts';

const positive = z.number().int().positive();
const bytes = z.array(z.number().int().min(0).max(255)).default([]);

/** `ScriptedBehavior` in engine.ts documents the fields. */
const Script = z.strictObject({
  waitMs: z.number().min(0).default(0),
  waitMsPerImage: z.number().min(0).default(0),
  throwOn: bytes,
  nanOn: bytes,
  hangOn: bytes,
  exitOn: bytes,
  abortOn: bytes,
  leakBytes: z.number().int().min(0).default(0),
  failToLoad: z.boolean().default(false),
});

const ScriptedModel = z.strictObject({
  name: ModelName,
  classCount: z.number().int().positive().default(1_000),
  /** Images are stretched to this size. */
  input: z
    .strictObject({
      width: z.number().int().positive().default(8),
      height: z.number().int().positive().default(8),
      channels: z.union([z.literal(1), z.literal(3)]).default(3),
      shortSide: z.number().int().positive().optional(),
      kernel: ServedModel.shape.input.shape.kernel.default('nearest'),
      resize: ServedModel.shape.input.shape.resize,
    })
    .prefault({}),
  script: Script.prefault({}),
  batching: z
    .strictObject({
      maxBatchSize: positive.default(BATCHING_DEFAULTS.maxBatchSize),
      // Nothing waits for company unless a test wants it.
      maxQueueDelayMs: z.number().min(0).default(0),
    })
    .prefault({}),
  // Some tests want no grace at all.
  queue: queueSpec.extend({ graceMs: z.int().min(0).default(QUEUE_DEFAULTS.graceMs) }).prefault({}),
});

/** A JSON list. */
export const ScriptedModels = z.string().transform((text, context) => {
  try {
    return z.array(ScriptedModel).min(1).parse(JSON.parse(text));
  } catch (error) {
    context.addIssue({ code: 'custom', message: `a JSON list of scripted models: ${(error as Error).message}` });
    return z.NEVER;
  }
});
export type ScriptedModels = z.infer<typeof ScriptedModels>;

/** A model without files. Its version is a digest of the definition, so workers with the same definition share it. */
export function makeScriptedModel(model: ScriptedModels[number]): ServableModel {
  const { name, classCount, input, script, batching, queue } = model;
  return {
    name,
    version: createHash('sha256').update(JSON.stringify(model)).digest('hex').slice(0, 12),
    description: 'Scripted answers, for tests and measurements.',
    precision: 'float32',
    input: {
      width: input.width,
      height: input.height,
      channels: input.channels,
      kernel: input.kernel,
      ...(input.shortSide === undefined ? {} : { shortSide: input.shortSide }),
      ...(input.resize === undefined ? {} : { resize: input.resize }),
    },
    classCount,
    labels: Array.from({ length: classCount }, (_, index) => `class ${index}`),
    heatmap: { available: false, reason: 'Scripted answers have no features.' },
    batching,
    queue,
    candidates: [{ engine: 'scripted', reason: 'Its answers are scripted.', model: { scripted: script } }],
  };
}
