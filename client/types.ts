/** Types of the client's API. Names and meanings are those of the GraphQL schema. */
import type { InferqlError } from './errors.ts';

/** It starts as QUEUED, becomes PROCESSING, and ends in exactly one of the other four. */
export type PredictionStatus = 'QUEUED' | 'PROCESSING' | 'SUCCEEDED' | 'FAILED' | 'CANCELED' | 'EXPIRED';

export type Priority = 'HIGH' | 'NORMAL' | 'LOW';

/**
 * The label names of models, for typed results. Empty unless the file that `inferql types` writes declares those of a server.
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
 * The label names of models' further heads, by model and head. Empty unless the file that `inferql types` writes declares those of a server.
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

/** Where in the image the model saw the best label: `values` row by row, 0 is cold and 1 is hot; `image` is a PNG `data:` URI. */
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

/** A further classification of the image. Labels below `threshold` are left out. */
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
  /** Little-endian float32. */
  base64: string;
}

/** A raw output of the model, row-major. `readValues` decodes it. */
export interface Tensor {
  name: string;
  dtype: 'FLOAT32' | 'INT32' | 'UINT8';
  /** Without the batch. */
  shape: number[];
  /** Little-endian. */
  base64: string;
}

/**
 * The model's result: the best labels by descending score. `heatmap` is set if it was requested; `heads`, `embeddings`, `tensors` and
 * `extra` if `outputs` were.
 */
export interface PredictionResult<Name = string, Heads = Record<string, string>> {
  labels: Label<Name>[];
  heatmap?: Heatmap | HeatmapUnavailable;
  heads?: HeadOf<Heads>[];
  embeddings?: Embedding[];
  tensors?: Tensor[];
  /** What the model's code added, as JSON; null for nothing. */
  extra?: unknown;
}

/** The state of one image's prediction at the time of reading. Times are ISO 8601 text in UTC. */
export interface Prediction {
  id: string;
  status: PredictionStatus;
  /** 1 is next. Null once it no longer waits. */
  queuePosition: number | null;
  /** Estimated milliseconds until its work begins, if known. */
  estimatedStartMs: number | null;
  model: string;
  /** A digest of the model's weights and specification. */
  modelVersion: string;
  priority: Priority;
  /** How often its work was started. */
  attempts: number;
  /** True if the result was not computed for this prediction alone. */
  cached: boolean;
  /** How many images the model ran at once when it gave this result. */
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

/** A prediction that has succeeded. */
export type SucceededPrediction<Name = string, Heads = Record<string, string>> = Omit<
  Prediction,
  'status' | 'result'
> & {
  status: 'SUCCEEDED';
  result: PredictionResult<Name, Heads>;
};

/** A model that requests can name. */
export interface Model {
  name: string;
  isDefault: boolean;
  description: string;
  version: string;
  engine: string;
  engineReason: string;
  precision: 'FLOAT32' | 'INT8';
  classCount: number;
  input: { width: number; height: number; channels: number };
  heatmap: { available: boolean; reason: string | null };
  batching: { maxBatchSize: number; maxQueueDelayMs: number };
}

/** The queue of one model at one moment. Rates are predictions per second. Without the scope `operate`, counts and bytes are the tenant's own. */
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
  /** Those with most waiting first; null without the scope `operate`. */
  tenants: { tenant: string; waiting: number; processing: number }[] | null;
  /** Over all tenants; null without the scope `operate`. */
  ended: { succeeded: number; failed: number; canceled: number; expired: number } | null;
  workers: { id: string; engine: string; version: string; imageMs: number | null; startedAt: string }[];
}

/** An image in memory. `@inferql/client/node` accepts paths and `file:` URLs, too. */
export type ImageInput = Blob | ArrayBuffer | Uint8Array;

export interface ClientOptions {
  /** The GraphQL endpoint, or the address of the server. @default 'http://127.0.0.1:4000/graphql' */
  url?: string | URL;
  /** An API key or a token, sent as `Authorization: Bearer KEY`. A function is called for each request, so that a token can be renewed. */
  key?: string | undefined | (() => string | undefined | Promise<string | undefined>);
  /** Headers sent with every request. If a function, it is called for each request. */
  headers?: Record<string, string> | (() => Record<string, string> | Promise<Record<string, string>>);
  /** Used instead of the global fetch. */
  fetch?: typeof fetch;
  /**
   * How long a failed request or lost subscription is retried after its first failure, in milliseconds. 0: never.
   * @default 30_000
   */
  retryForMs?: number;
  /**
   * An answer that takes longer counts as a lost connection, in milliseconds. An upload gets one second more per 32 kB.
   * @default 120_000
   */
  requestTimeoutMs?: number;
  /** A subscription that is silent for longer counts as lost; the server sends a comment every 12 s. @default 30_000 */
  idleTimeoutMs?: number;
}

export interface WatchOptions {
  /** How many labels the result carries, 1 to 20. @default 5 */
  topK?: number;
  /** Ask for the heatmap of the best label. @default false */
  heatmap?: boolean;
  /** Ask for heads, embeddings, tensors and `extra`, too. @default false */
  outputs?: boolean;
  /** Stops watching. The prediction itself goes on. */
  signal?: AbortSignal;
}

export interface ClassifyOptions<Model extends string = string> {
  /** The name of a model. Default: the server's default model. */
  model?: Model;
  /** How many labels the result carries, 1 to 20. @default 5 */
  topK?: number;
  /** Compute the heatmap of the best label, too. @default false */
  heatmap?: boolean;
  /** Ask for heads, embeddings, tensors and `extra`, too. @default false */
  outputs?: boolean;
  /** @default 'NORMAL' */
  priority?: Priority;
  /** Time limit from acceptance, in milliseconds; after it the prediction ends EXPIRED. */
  timeoutMs?: number;
  /** Your own name for the request, 1 to 200 characters. Default: a random one, so that a retry never does the work twice. */
  idempotencyKey?: string;
  /** Cancels: stops the upload, or cancels the prediction on the server. The promise rejects with `signal.reason`. */
  signal?: AbortSignal;
  /** Called with every state, from the first one on. */
  onState?: (prediction: Prediction) => void;
}

/** The outcome of one image of many; `index` is its position in the input. */
export type Outcome<Image> =
  | { index: number; image: Image; prediction: SucceededPrediction; error?: undefined }
  | { index: number; image: Image; prediction?: undefined; error: InferqlError };

export interface Progress {
  done: number;
  failed: number;
  /** Undefined if the length of the source is unknown. */
  total: number | undefined;
}

export interface ClassifyManyOptions<Image> extends Omit<ClassifyOptions, 'idempotencyKey' | 'onState'> {
  /** How many images are sent at once. @default 5, since a browser opens six connections to a server without HTTP/2 */
  concurrency?: number;
  /** The idempotency key of each image's request. Default: random ones. */
  idempotencyKey?: (image: Image, index: number) => string;
  onProgress?: (progress: Progress) => void;
}

export interface Client<Image = ImageInput> {
  /**
   * Classifies one image.
   * @returns the prediction, once it has SUCCEEDED
   * @throws InferqlError if the image is refused, the prediction ends otherwise, or no server could be reached
   */
  classify<const Model extends string = string>(
    image: Image,
    options?: ClassifyOptions<Model>,
  ): Promise<SucceededPrediction<LabelName<Model>, HeadNames<Model>>>;
  /** Classifies many images, a limited number at once. Returns the outcomes in the order of the images. A failure does not stop the others. */
  classifyAll(
    images: Iterable<Image> | AsyncIterable<Image>,
    options?: ClassifyManyOptions<Image>,
  ): Promise<Outcome<Image>[]>;
  /** Like classifyAll, but yields each outcome as soon as it is known. Leaving the loop cancels open predictions. */
  classifyEach(
    images: Iterable<Image> | AsyncIterable<Image>,
    options?: ClassifyManyOptions<Image>,
  ): AsyncGenerator<Outcome<Image>, void, undefined>;
  /**
   * Yields the current state at once, then each later one, and always the terminal one, after which it ends. Survives lost
   * connections and restarts of the server for up to `retryForMs`.
   * @throws InferqlError NOT_FOUND if the id is unknown
   */
  watch(id: string, options?: WatchOptions): AsyncGenerator<Prediction, void, undefined>;
  /** The current state; null if the id is unknown or was forgotten. */
  prediction(id: string, options?: WatchOptions): Promise<Prediction | null>;
  /** Cancels a prediction. Returns its state after that, or null if the id is unknown. */
  cancel(id: string, options?: WatchOptions): Promise<Prediction | null>;
  models(options?: { signal?: AbortSignal }): Promise<Model[]>;
  /** The current state of a queue; null if there is no such model. Default: the default model. */
  queue(model?: string, options?: { signal?: AbortSignal }): Promise<Queue | null>;
  /** The queue at once, then whenever it has changed. Never ends unless the caller stops it. */
  watchQueue(model?: string, options?: { signal?: AbortSignal }): AsyncGenerator<Queue, void, undefined>;
}
