/** The types of the server's answers. Names and meanings are those of the GraphQL schema. */

/** It starts as QUEUED, becomes PROCESSING, and ends in exactly one of the other four. */
export type PredictionStatus = 'QUEUED' | 'PROCESSING' | 'SUCCEEDED' | 'FAILED' | 'CANCELED' | 'EXPIRED';

export type Priority = 'HIGH' | 'NORMAL' | 'LOW';

/**
 * The label names of models, for typed results. Empty unless you include the file that `inferql types` writes.
 * @example
 * declare module '@inferql/client' {
 *   interface ModelLabels {
 *     cats: 'tabby' | 'siamese';
 *   }
 * }
 */
// biome-ignore lint/suspicious/noEmptyInterface: declarations of users are merged into it
export interface ModelLabels {}

/** The label names of a model: a union if its labels are declared, else `string`. */
export type LabelName<Model extends string = string> = Model extends keyof ModelLabels ? ModelLabels[Model] : string;

/**
 * The label names of models' heads, by model and head. Empty unless you include the file that `inferql types` writes.
 * @example
 * declare module '@inferql/client' {
 *   interface ModelHeads {
 *     cats: { color: 'black' | 'white' };
 *   }
 * }
 */
// biome-ignore lint/suspicious/noEmptyInterface: declarations of users are merged into it
export interface ModelHeads {}

/** The label names of a model's heads, by head: unions if they are declared, else `string`. */
export type HeadNames<Model extends string = string> = Model extends keyof ModelHeads
  ? ModelHeads[Model]
  : Record<string, string>;

/** One class of the model; `score` is its probability, between 0 and 1. */
export interface Label<Name = string> {
  name: Name;
  index: number;
  score: number;
}

/** Where in the image the model saw a label: `values` are row-major, 0 is cold and 1 is hot; `image` is a PNG `data:` URI. */
export interface Heatmap {
  __typename: 'Heatmap';
  width: number;
  height: number;
  values: number[];
  image: string;
}

/** Why there is no heatmap. */
export interface HeatmapUnavailable {
  __typename: 'HeatmapUnavailableError';
  code: string;
  message: string;
}

/** An additional classification of the image. Labels with a score below `threshold` are omitted. */
export interface Head<HeadName = string, Name = string> {
  name: HeadName;
  task: 'SINGLE_LABEL' | 'MULTI_LABEL';
  threshold: number | null;
  labels: Label<Name>[];
}

/** Any head of a model, from the label names of its heads. */
export type HeadOf<Heads = Record<string, string>> = {
  [HeadName in keyof Heads]: Head<HeadName, Heads[HeadName]>;
}[keyof Heads];

/** A vector that describes the image. `readValues` decodes it. */
export interface Embedding {
  name: string;
  size: number;
  /** Little-endian float32. Absent in a summary. */
  base64?: string;
}

/** A raw output of the model, row-major. `readValues` decodes it. */
export interface Tensor {
  name: string;
  dtype: 'FLOAT32' | 'INT32' | 'UINT8';
  /** Without the batch. */
  shape: number[];
  /** Little-endian. Absent in a summary. */
  base64?: string;
}

/**
 * The model's result: the best labels by descending score. `heatmap` is set if it was requested; `heads`, `embeddings`, `tensors` and
 * `extra` if `outputs` were. A summary has no `extra`.
 */
export interface PredictionResult<Name = string, Heads = Record<string, string>> {
  labels: Label<Name>[];
  heatmap?: Heatmap | HeatmapUnavailable;
  heads?: HeadOf<Heads>[];
  embeddings?: Embedding[];
  tensors?: Tensor[];
  /** Additional JSON from the model's code; null if there is none. */
  extra?: unknown;
}

/** The state of a prediction at the time of reading. Times are ISO 8601 text in UTC. */
export interface Prediction {
  id: string;
  status: PredictionStatus;
  /** 1 is next. Null unless the status is QUEUED. */
  queuePosition: number | null;
  /** Estimated milliseconds until processing starts, if known. */
  estimatedStartMs: number | null;
  model: string;
  /** A digest of the model's weights and specification. */
  modelVersion: string;
  priority: Priority;
  /** How many times a worker has started it. */
  attempts: number;
  /** True if the result is shared with another request or comes from the cache. */
  cached: boolean;
  /** The size of the batch that produced the result. */
  batchSize: number | null;
  createdAt: string;
  startedAt: string | null;
  finishedAt: string | null;
  /** When it expires unless it has ended. */
  deadlineAt: string;
  /** The failed prediction that this one retries. */
  retryOf: string | null;
  error: { code: string; message: string; retryable: boolean } | null;
  /** Milliseconds; null until it has ended. */
  timings: { queueMs: number | null; inferenceMs: number | null; totalMs: number | null } | null;
  /** Null unless the status is SUCCEEDED. */
  result: PredictionResult | null;
}

/** An accepted prediction, without the fields that are only known at its end. */
export type AcceptedPrediction = Omit<Prediction, 'finishedAt' | 'error' | 'timings' | 'result'>;

/** A prediction that has succeeded. */
export type SucceededPrediction<Name = string, Heads = Record<string, string>> = Omit<
  Prediction,
  'status' | 'result'
> & {
  status: 'SUCCEEDED';
  result: PredictionResult<Name, Heads>;
};

/** How images are prepared for a model. If all optional fields are null and `cover` is false, the whole image is stretched. */
export interface ModelInput {
  width: number;
  height: number;
  channels: number;
  /** The image's short side is resized to this, then the center is cropped. */
  shortSide: number | null;
  /** The whole image is stretched to a square of this side, then the center is cropped. */
  stretchTo: number | null;
  /** This share of each side, around the center, is cropped out and stretched. */
  cropFraction: number | null;
  /** The largest centered part with the proportions of width and height is cropped out and resized. */
  cover: boolean;
  /** The whole image is fitted in, and the rest is filled with this color, `#rrggbb`. */
  padColor: string | null;
}

/** A model of the server. */
export interface Model {
  name: string;
  isDefault: boolean;
  description: string;
  version: string;
  engine: string;
  engineReason: string;
  precision: 'FLOAT32' | 'INT8';
  classCount: number;
  input: ModelInput;
  heatmap: { available: boolean; reason: string | null };
  batching: { maxBatchSize: number; maxQueueDelayMs: number };
}

/** The queue of one model at one point in time. Rates are predictions per second. Without the scope `operate`, counts and bytes are the tenant's own. */
export interface Queue {
  model: string;
  waiting: number;
  processing: number;
  queuedBytes: number;
  maxQueueSize: number;
  /** Null without the scope `operate`. */
  deadLetters: number | null;
  ratePerSecond: number | null;
  capacityPerSecond: number | null;
  latencyMs: number | null;
  /** Sorted by waiting predictions, most first; null without the scope `operate`. */
  tenants: { tenant: string; waiting: number; processing: number }[] | null;
  /** Over all tenants; null without the scope `operate`. */
  ended: { succeeded: number; failed: number; canceled: number; expired: number } | null;
  workers: { id: string; engine: string; version: string; imageMs: number | null; startedAt: string }[];
}

/** The server's limits. */
export interface Limits {
  /** Bytes of one image file. */
  maxUploadBytes: number;
  /** Width times height of one image. */
  maxPixels: number;
  /** Images in one request. */
  maxImages: number;
  /** Bytes of one request with files. */
  maxBodyBytes: number;
  /** How long a mutation waits for its result, in milliseconds. */
  maxWaitMs: number;
}
