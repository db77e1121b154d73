import { BATCHING_DEFAULTS, QUEUE_DEFAULTS } from '@inferql/queue/models/queue-defaults';
import { Task, Threshold } from '@inferql/queue/outputs';
import JSON5 from 'json5';
import * as z from 'zod';
import { ModelError } from '../errors.ts';
import { relativePath } from '../files/relative-path.ts';
import { inputSpec } from './input-spec.ts';
import { activation, outputSpecs } from './output-spec.ts';

export const npmSource = z.strictObject({
  type: z.literal('npm'),
  package: z.string().regex(/^(@[a-z0-9~-][a-z0-9._~-]*\/)?[a-z0-9~-][a-z0-9._~-]*$/, 'the name of an npm package'),
  version: z.string().regex(/^\d+\.\d+\.\d+[0-9A-Za-z.+-]*$/, 'an exact version such as 1.0.4'),
  integrity: z.string().regex(/^sha512-[A-Za-z0-9+/]{86}==$/, 'the sha512 integrity of the tarball ("sha512-…")'),
  model: relativePath,
  /** In the package; absent: `labels.json` next to the spec. */
  labels: relativePath.optional(),
});

const folderSource = z.strictObject({
  type: z.literal('folder'),
  /** The model's file, relative to the folder of the spec. */
  model: relativePath,
  /** Absent: the model has none, but `outputs`. */
  labels: relativePath.optional(),
});

/** How long postprocessing may take per image if a spec does not say it. */
export const POSTPROCESS_TIME_LIMIT_MS = 1_000;

const positive = z.int().min(1);
/** The API has these as Int, which no larger number fits. */
const positiveInt32 = positive.max(2 ** 31 - 1);

const batchingSpec = z.strictObject({
  maxBatchSize: positive.max(1024).default(BATCHING_DEFAULTS.maxBatchSize),
  maxQueueDelayMs: z.number().min(0).max(60_000).default(BATCHING_DEFAULTS.maxQueueDelayMs),
});

/** ServedModel of queue/contract.ts says what the fields mean. */
export const queueSpec = z.strictObject({
  maxQueueSize: positiveInt32.default(QUEUE_DEFAULTS.maxQueueSize),
  maxQueuedBytes: positive.default(QUEUE_DEFAULTS.maxQueuedBytes),
  defaultTimeoutMs: positiveInt32.default(QUEUE_DEFAULTS.defaultTimeoutMs),
  resultTtlMs: positive.default(QUEUE_DEFAULTS.resultTtlMs),
  // A third of it is a timer's interval.
  visibilityMs: positiveInt32.default(QUEUE_DEFAULTS.visibilityMs),
  maxAttempts: positiveInt32.default(QUEUE_DEFAULTS.maxAttempts),
  graceMs: positive.default(QUEUE_DEFAULTS.graceMs),
  fairShares: z.boolean().default(QUEUE_DEFAULTS.fairShares),
  refuseUnreachableDeadlines: z.boolean().default(QUEUE_DEFAULTS.refuseUnreachableDeadlines),
});

/** Code next to the spec. */
const CODE_FILE = /^\.\/[\w-]+(?:\/[\w-]+)*\.m?js$/;

const CROP_FITS = 'at least as long as width and height, so that the center crop fits (or a `padColor` with shortSide)';
const fits =
  (side: 'shortSide' | 'stretchTo') =>
  ({ input }: { input: z.infer<typeof inputSpec> }) =>
    (side === 'shortSide' && input.padColor !== undefined) ||
    (input[side] ?? Number.POSITIVE_INFINITY) >= Math.max(input.width, input.height);

const modelSpec = z
  .strictObject({
    description: z.string().max(2000).optional(),
    source: z.discriminatedUnion('type', [npmSource, folderSource]),
    format: z.enum(['tfjs-layers', 'tfjs-graph', 'onnx', 'module']),
    /** Class names of a model with user code, instead of a file in `source`. */
    labels: z.array(z.string().min(1)).min(1).optional(),
    input: inputSpec,
    output: z.strictObject({
      /**
       * What the model's output holds: softmax and sigmoid are probabilities already; logits get a softmax,
       * logits-sigmoid a sigmoid per label.
       */
      activation: activation.default('softmax'),
      /** Which output of a graph model with several, by its signature's name; absent: the first. */
      name: z.string().min(1).optional(),
      /** Whether an image has one class or any number of them; absent: any number for a sigmoid over more than two classes. */
      task: Task.optional(),
      /** Labels with a lower score are shown only if a caller asks for them. */
      threshold: Threshold.optional(),
    }),
    /** What the model gives besides its labels. */
    outputs: outputSpecs.optional(),
    /** `module` is written as the path of the module: `engine: './engine.js'`. */
    engine: z.enum(['auto', 'onnxruntime', 'tensorflow', 'wasm', 'module']).default('auto'),
    /** A module next to the spec that changes each image's output. */
    postprocess: z.string().regex(CODE_FILE, 'a path such as ./postprocess.js').optional(),
    /** How long it may take per image; an image for which it takes longer fails. @default POSTPROCESS_TIME_LIMIT_MS */
    postprocessTimeLimitMs: z.int().min(1).max(60_000).optional(),
    precision: z.enum(['float32', 'int8']).default('float32'),
    batching: batchingSpec.prefault({}),
    queue: queueSpec.prefault({}),
  })
  .refine(fits('shortSide'), { path: ['input', 'shortSide'], error: CROP_FITS })
  .refine(fits('stretchTo'), { path: ['input', 'stretchTo'], error: CROP_FITS })
  .refine(hasAnswers, {
    path: ['source', 'labels'],
    error: 'a file with the names of the classes, or `outputs` for a model without labels',
  })
  .refine((spec) => spec.labels === undefined || (spec.format === 'module' && spec.source.labels === undefined), {
    path: ['labels'],
    error: 'names in `source.labels` for this format',
  })
  .refine((spec) => (spec.engine === 'module') === (spec.format === 'module'), {
    path: ['engine'],
    error: 'the path of a module, such as ./engine.js, and no format',
  })
  .refine((spec) => spec.precision === 'float32' || spec.engine === 'auto' || spec.engine === 'onnxruntime', {
    path: ['precision'],
    error: 'float32 for this engine: onnxruntime alone runs int8',
  });

interface Answers {
  source: { type: string; labels?: string | undefined };
  labels?: readonly string[] | undefined;
  outputs?: object | undefined;
}

function hasAnswers({ source, labels, outputs }: Answers): boolean {
  return source.type === 'npm' || [source.labels, labels, outputs].some((given) => given !== undefined);
}

/** A parsed `models/<name>/model.json5` with all defaults. Sizes are in pixels and bytes, times in milliseconds. */
export type ModelSpec = z.infer<typeof modelSpec>;
export type OutputSpec = ModelSpec['output'];

/** The file that makes a folder of the repository a model. */
export const SPEC_FILE = 'model.json5';
/** Next to the spec, if it names no other file. */
export const LABELS_FILE = 'labels.json';

/**
 * Parses the text of a spec.
 * @param file the name that errors show
 * @throws ModelError SPEC_INVALID that names the file, each field and what was expected
 */
export function parseSpec(text: string, file: string): ModelSpec {
  return checkSpec(parseJson5(text, file), file);
}

/** @throws ModelError SPEC_INVALID */
export function parseJson5(text: string, file: string): unknown {
  try {
    return JSON5.parse(text);
  } catch (cause) {
    throw new ModelError('SPEC_INVALID', `${file} is not JSON5: ${(cause as Error).message}`, { cause });
  }
}

/**
 * Checks the fields of a spec and fills in defaults.
 * @throws ModelError SPEC_INVALID that names the file, each field and what was expected
 */
export function checkSpec(raw: unknown, file: string): ModelSpec {
  const parsed = modelSpec.safeParse(expandModule(raw));
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.flatMap(describeIssue);
  throw new ModelError('SPEC_INVALID', `${file} is not a model's spec:\n${lines.join('\n')}`);
}

/** The path of the module in `engine`, as it is written in a spec; undefined if the spec names an engine, or is not an object. */
export function findModule(raw: unknown): string | undefined {
  if (typeof raw !== 'object' || raw === null || !('engine' in raw)) return undefined;
  return typeof raw.engine === 'string' && CODE_FILE.test(raw.engine) ? raw.engine : undefined;
}

/** `engine: './engine.js'` is short for a source, a format and an input whose bytes are given as they are. */
function expandModule(raw: unknown): unknown {
  const module = findModule(raw);
  if (module === undefined) return raw;
  const { engine: _, labels, input, ...rest } = raw as Record<string, unknown>;
  const names = labels ?? ('outputs' in rest ? undefined : LABELS_FILE);
  const file = typeof names === 'string' ? { labels: names } : {};
  return {
    source: { type: 'folder', model: module.slice('./'.length), ...file },
    format: 'module',
    output: {},
    ...rest,
    ...(names === undefined || 'labels' in file ? {} : { labels: names }),
    input: typeof input === 'object' ? { normalization: 'none', ...input } : input,
    engine: 'module',
  };
}

/** One line per field: its name, and what was expected. */
export function describeIssue(issue: z.core.$ZodIssue): string[] {
  const line = (path: PropertyKey[], what: string) => `  ${path.map(String).join('.') || '(the whole file)'}: ${what}`;
  switch (issue.code) {
    case 'unrecognized_keys':
      return issue.keys.map((key) => line([...issue.path, key], 'unknown field'));
    case 'invalid_key':
      return [line(issue.path, `expected ${issue.issues[0]?.message ?? 'another name'}`)];
    case 'too_small':
      return [
        line(issue.path, `expected ${issue.inclusive ? 'at least' : 'more than'} ${issue.minimum}${unitOf(issue)}`),
      ];
    case 'too_big':
      return [line(issue.path, `expected at most ${issue.maximum}${unitOf(issue)}`)];
    default:
      // Our messages say what a field should be; zod's say first what it is not.
      return [line(issue.path, issue.message.startsWith('Invalid') ? issue.message : `expected ${issue.message}`)];
  }
}

function unitOf({ origin }: { origin: string }): string {
  return origin === 'string' ? ' character(s)' : '';
}
