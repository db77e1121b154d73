/**
 * The wire format between server and worker: what is in the queue, in Redis' hashes and on the channel. Both sides import this
 * file; it imports neither. Data is parsed on arrival, so that all other code can trust its types.
 */
import { randomBytes } from 'node:crypto';
import * as z from 'zod';
import { ERROR_CODES } from './error-codes.ts';
import { MAX_OUTPUTS, ModelOutput, Task, Threshold } from './outputs.ts';
import { MAX_LABELS, Result } from './result.ts';

export { Label } from './outputs.ts';
export { DEFAULT_TOP_K, Heatmaps, MAX_LABELS, Result, STORED_LABELS } from './result.ts';

/** Lanes of the queue, the most urgent first. */
export const PRIORITIES = ['HIGH', 'NORMAL', 'LOW'] as const;
export const Priority = z.enum(PRIORITIES);
export type Priority = z.infer<typeof Priority>;

export const PREDICTION_STATUSES = ['QUEUED', 'PROCESSING', 'SUCCEEDED', 'FAILED', 'CANCELED', 'EXPIRED'] as const;
export const PredictionStatus = z.enum(PREDICTION_STATUSES);
export type PredictionStatus = z.infer<typeof PredictionStatus>;

/** A terminal status never changes again. */
export function isTerminal(status: PredictionStatus): boolean {
  return status !== 'QUEUED' && status !== 'PROCESSING';
}

/** A tenant's name, part of Redis keys and stream entries: 1 to 128 visible ASCII characters, no spaces, quotes or braces. */
export const TenantName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._@:|/+=-]{0,127}$/);

/** The tenant of every caller that is not identified, and of jobs that were queued before tenants existed. */
export const ANONYMOUS_TENANT = 'anonymous';

/** Bounds of a tenant's weight; 1 is the default. */
export const Weight = z.number().min(0.01).max(100);

/**
 * The caller, as the queue sees it. A prediction belongs to its caller's tenant: others cannot read, watch or cancel it. Idempotency
 * keys, shared work and cached results are separate per tenant.
 */
export interface Caller {
  tenant: string;
  /** The API key or token that was used, for logs and limits; undefined while callers are not identified. */
  keyId: string | undefined;
  /** The tenant's share of the work, relative to other tenants: see {@link Weight}. */
  weight: number;
}

export const ANONYMOUS_CALLER: Caller = { tenant: ANONYMOUS_TENANT, keyId: undefined, weight: 1 };

const NAME = '[a-z0-9][a-z0-9_-]{0,63}';
/** Names become parts of Redis keys, paths and prediction ids, in which a dot ends the name. */
export const MODEL_NAME = new RegExp(`^${NAME}$`);
export const ModelName = z.string().regex(MODEL_NAME);

/** A field of text that holds JSON. @param expected what it holds, for the message if it does not */
export function jsonText<T>(schema: z.ZodType<T>, expected: string) {
  return z.string().transform((text, context): T => {
    try {
      return schema.parse(JSON.parse(text));
    } catch {
      context.addIssue({ code: 'custom', message: `not ${expected}` });
      return z.NEVER;
    }
  });
}

const WireFlag = z.enum(['0', '1']).transform((flag) => flag === '1');

/** A prediction's state as stored in Redis: a hash whose fields are all text. Times are by Redis' clock, in Unix milliseconds. */
export const PredictionState = z.object({
  id: z.string(),
  /** Incremented with every change, so that an older state never replaces a newer one. */
  revision: z.coerce.number().int(),
  status: PredictionStatus,
  model: z.string(),
  /** The tenant that it belongs to. */
  tenant: z.string().default(ANONYMOUS_TENANT),
  /** The model version (a digest) that the image was prepared for. */
  version: z.string(),
  priority: Priority,
  /** The job of this prediction; several predictions may share one. */
  jobId: z.string(),
  attempts: z.coerce.number().int(),
  createdAtMs: z.coerce.number(),
  deadlineMs: z.coerce.number(),
  startedAtMs: z.coerce.number().optional(),
  finishedAtMs: z.coerce.number().optional(),
  /** Wall time, in milliseconds, of the engine run that produced the result. */
  inferenceMs: z.coerce.number().optional(),
  batchSize: z.coerce.number().int().optional(),
  /** True if the result was not computed for this prediction alone: it was shared with another one in flight, or cached. */
  cached: WireFlag.default(false),
  result: jsonText(Result, 'a result').optional(),
  /** Absent as well if a newer release wrote a code that this one does not know: its watchers still learn that the prediction has ended. */
  errorCode: z
    .string()
    .transform((code) => ERROR_CODES.find((known) => known === code))
    .optional(),
  /** The prediction that this one retries, if an operator retried a dead letter. */
  retryOf: z.string().optional(),
});
export type PredictionState = z.infer<typeof PredictionState>;

/** What a job needs in addition to its pixels. */
export const JobOptions = z.object({
  heatmap: z.boolean(),
  /** How many labels the result keeps; absent: STORED_LABELS. */
  labels: z.number().int().min(1).max(MAX_LABELS).optional(),
});
export type JobOptions = z.infer<typeof JobOptions>;

/** What the server must know about a model version to prepare images for it and to bound its queue. A warm worker registers it. */
export const ServedModel = z.object({
  name: ModelName,
  version: z.string().regex(/^[0-9a-f]{12}$/),
  description: z.string().default(''),
  engine: z.string(),
  /** Why that engine was chosen, in one sentence. */
  engineReason: z.string(),
  precision: z.enum(['float32', 'int8']),
  /** Strict: a release that does not know a rule would prepare other pixels, and the results would be wrong. */
  input: z.strictObject({
    width: z.number().int().positive(),
    height: z.number().int().positive(),
    channels: z.union([z.literal(1), z.literal(3), z.literal(4)]),
    /** The short side is resized to this, then the center is cropped; absent: the image is stretched to width x height. */
    shortSide: z.number().int().positive().optional(),
    /** The library and filter that images are resized with, by the names of images/resize; absent: sharp with `kernel`. */
    resize: z.string().optional(),
    kernel: z.enum(['nearest', 'linear', 'cubic', 'lanczos3']),
    /** What is done with a color profile in the file; absent: what the library of `resize` does. */
    colorProfile: z.enum(['convert', 'ignore']).optional(),
    /** The whole image is stretched to a square of this side, then the center is cropped. */
    stretchTo: z.number().int().positive().optional(),
    /** This share of each side, around the center, is stretched to width x height. */
    cropFraction: z.number().positive().max(1).optional(),
    /** The largest centered part with the proportions of width x height is resized. */
    cover: z.boolean().optional(),
    /** The whole image is fitted in, and the rest is filled with this color. */
    padColor: z
      .string()
      .regex(/^#[0-9a-fA-F]{6}$/)
      .optional(),
  }),
  /** 0 for a model that has `outputs` and no labels. */
  classCount: z.number().int().min(0),
  /** Whether an image has one class, or any number of them; absent: one. */
  task: Task.optional(),
  /** Labels with a lower score are not shown unless a caller asks for them. */
  threshold: Threshold.optional(),
  /** What it gives besides its labels. */
  outputs: z.array(ModelOutput).max(MAX_OUTPUTS).optional(),
  heatmap: z.object({ available: z.boolean(), reason: z.string().optional() }),
  batching: z.object({ maxBatchSize: z.number().int().positive(), maxQueueDelayMs: z.number().min(0) }),
  queue: z.object({
    maxQueueSize: z.number().int().positive(),
    maxQueuedBytes: z.number().int().positive(),
    /** For predictions without a timeoutMs. */
    defaultTimeoutMs: z.number().int().positive(),
    /** How long an ended prediction can be read, in milliseconds. */
    resultTtlMs: z.number().int().positive(),
    /** The lease, in milliseconds: a claimed job whose lease is not extended for this long is reclaimed by another worker. */
    visibilityMs: z.number().int().min(0),
    maxAttempts: z.number().int().positive(),
    /** How long a model without a live worker still accepts work, in milliseconds. */
    graceMs: z.number().int().min(0),
    /**
     * If true, tenants share the work of a priority by their weights. If false, it is first come, first served. Absent means false, since a worker of an
     * earlier release does not look into tenants' backlogs.
     */
    fairShares: z.boolean().optional(),
    /** Whether a request is refused at once if, at the measured rate, it cannot end before its deadline. Absent: false. */
    refuseUnreachableDeadlines: z.boolean().optional(),
  }),
});
export type ServedModel = z.infer<typeof ServedModel>;

/** Bytes of one prepared image: uint8, height x width x channels, channels last, RGB, gray or RGBA. */
export function imageByteLength(input: ServedModel['input']): number {
  return input.width * input.height * input.channels;
}

/** Figures of a live worker, refreshed with its heartbeat. */
export const WorkerRecord = z.object({
  worker: z.string(),
  version: z.string(),
  engine: z.string(),
  /** Moving average of the engine's milliseconds per image; absent before the first batch. */
  imageMs: z.number().optional(),
  startedAtMs: z.number(),
});
export type WorkerRecord = z.infer<typeof WorkerRecord>;

/** A queue at one moment. Rates are predictions per second. */
export interface QueueState {
  model: string;
  waiting: number;
  /** How many jobs wait, per tenant that has any. */
  tenants: ReadonlyMap<string, number>;
  /** How many jobs workers have begun, per tenant that has any. */
  running: ReadonlyMap<string, number>;
  /** Of one prepared image. */
  imageBytes: number;
  processing: number;
  queuedBytes: number;
  deadLetters: number;
  workers: WorkerRecord[];
  /** Rate of all live workers together, from their measured time per image; undefined before the first batch. */
  capacityPerSecond: number | undefined;
  maxQueueSize: number;
  /** How many have ended since this Redis knows the model, by terminal status. */
  ended: Record<'SUCCEEDED' | 'FAILED' | 'CANCELED' | 'EXPIRED', number>;
}

const ID = new RegExp(`^(${NAME})\\.[A-Za-z0-9_-]{22}$`);

/** A new prediction's id: the model's name, a dot, 128 random bits. Generated before the first send, so that a resent admission is the same admission. */
export function newPredictionId(model: string): string {
  if (drawnAt === drawn.length) {
    drawn = randomBytes(ID_BYTES * IDS_PER_DRAW);
    drawnAt = 0;
  }
  drawnAt += ID_BYTES;
  return `${model}.${drawn.toString('base64url', drawnAt - ID_BYTES, drawnAt)}`;
}

const ID_BYTES = 16;
/** A call for random bytes costs more than the bytes. */
const IDS_PER_DRAW = 128;
let drawn = Buffer.alloc(0);
let drawnAt = 0;

/** The name of the model in a prediction's id, or undefined if the text is not an InferQL id. */
export function modelOfPrediction(id: string): string | undefined {
  return ID.exec(id)?.[1];
}
