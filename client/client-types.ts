/** The client and its options. */

import type {
  AcceptedPrediction,
  HeadNames,
  LabelName,
  Limits,
  Model,
  Prediction,
  Priority,
  Queue,
  SucceededPrediction,
} from './answers/answer-types.ts';
import type { InferqlError } from './errors.ts';

/** An image in memory. `@inferql/client/node` also accepts paths and `file:` URLs. */
export type ImageInput = Blob | ArrayBuffer | Uint8Array;

/**
 * How updates of watched predictions and queues currently arrive. `idle`: nothing is watched; `connecting`: not connected yet, or
 * no longer.
 */
export type Connection = 'idle' | 'connecting' | 'websocket' | 'event-stream' | 'polling';

/** The options of every call. */
export interface CallOptions {
  /** Ends the call, which then rejects with `signal.reason`. */
  signal?: AbortSignal | undefined;
  /**
   * How long a failed request or lost subscription is retried after its first failure, in milliseconds. 0: never. A function decides
   * for each error, even if it is not `retryable`. Default: the client's option.
   */
  retryForMs?: number | ((error: InferqlError) => number) | undefined;
  /** Called with each error that is retried. Default: the client's option. */
  onRetry?: ((error: InferqlError) => void) | undefined;
}

export interface ClientOptions {
  /** The GraphQL endpoint, or the address of the server. @default 'http://127.0.0.1:4000/graphql' */
  url?: string | URL | undefined;
  /**
   * An API key or a token, sent as `Authorization: Bearer KEY`. A function is called for each request, so that a token can be renewed. What it
   * throws ends the call unchanged; an {@link InferqlError} `UNREACHABLE` is retried. An open event stream or WebSocket keeps its key. If the
   * server no longer accepts that key, the function is called again; if it returns another key, the subscriptions continue with it.
   */
  key?: string | undefined | (() => string | undefined | Promise<string | undefined>);
  /** Headers sent with every HTTP request. If a function, it is called for each request, and its errors are treated like those of `key`. */
  headers?: Record<string, string> | (() => Record<string, string> | Promise<Record<string, string>>) | undefined;
  /** Used instead of the global fetch. Upload progress is then not reported. */
  fetch?: typeof fetch | undefined;
  /** See {@link CallOptions.retryForMs}. @default 30_000 */
  retryForMs?: CallOptions['retryForMs'];
  /** See {@link CallOptions.onRetry}. A call's own replaces it. */
  onRetry?: CallOptions['onRetry'];
  /**
   * Time limit for an upload and its response, in milliseconds, plus one second per 32 kB; after that it counts as lost. @default 120_000
   */
  requestTimeoutMs?: number | undefined;
  /**
   * Any other request or subscription counts as lost after this many milliseconds of silence. The server sends a comment every 12 s.
   * @default 30_000
   */
  idleTimeoutMs?: number | undefined;
  /** Maximum number of concurrent uploads, at least 1; the others wait. @default Infinity */
  maxUploads?: number | undefined;
  /**
   * How updates arrive. `event-stream`: one stream per watched prediction or queue. `shared`: one WebSocket for all; if none
   * gets through, at most three event streams, and queries every second for the rest.
   * @default 'event-stream'
   */
  subscriptions?: 'event-stream' | 'shared' | undefined;
  /** Called when {@link Connection} changes. Only with `subscriptions: 'shared'`. What it throws is reported as uncaught. */
  onConnection?: ((connection: Connection) => void) | undefined;
}

/** The options for reading a prediction. */
export interface ReadOptions extends CallOptions {
  /** How many labels the result contains. @default 5 */
  topK?: number | undefined;
  /** Also read a heatmap: `true` for the best label, a number for the label with this `index`. @default false */
  heatmap?: boolean | number | undefined;
  /**
   * Also read heads, embeddings, tensors and `extra`. `summary`: without the values of embeddings and tensors, and without `extra`.
   * @default false
   */
  outputs?: boolean | 'summary' | undefined;
}

/** The options for watching a prediction. The signal stops watching; the prediction continues. */
export type WatchOptions = ReadOptions;

/** The options for sending an image. */
export interface SubmitOptions<Model extends string = string> extends CallOptions {
  /** The name of a model. Default: the server's default model. */
  model?: Model | undefined;
  /** How many labels the result contains. @default 5 */
  topK?: number | undefined;
  /** Also compute heatmaps. @default false */
  heatmap?: boolean | undefined;
  /** Also read heads, embeddings, tensors and `extra`. @default false */
  outputs?: boolean | undefined;
  /** @default 'NORMAL' */
  priority?: Priority | undefined;
  /** Time limit from acceptance, in milliseconds; after that the prediction ends EXPIRED. */
  timeoutMs?: number | undefined;
  /** Identifies the request, 1 to 200 characters. Default: a random key, so that a retry never does the work twice. */
  idempotencyKey?: string | undefined;
  /**
   * Called with the fraction of the upload that has been sent, 0 to 1; each attempt starts again at 0. In browsers it is called during the
   * upload, elsewhere only at the start and the end.
   */
  onUploadProgress?: ((share: number) => void) | undefined;
  /** Aborting it stops the upload, or cancels the prediction on the server. The promise rejects with `signal.reason`. */
  signal?: AbortSignal | undefined;
}

export interface ClassifyOptions<Model extends string = string> extends SubmitOptions<Model> {
  /** Called with every state, from the first one on. */
  onState?: ((prediction: Prediction) => void) | undefined;
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

export interface ClassifyManyOptions<Image>
  extends Omit<ClassifyOptions, 'idempotencyKey' | 'onState' | 'onUploadProgress'> {
  /** How many images are sent at once. @default 5, since a browser opens six connections to a server without HTTP/2 */
  concurrency?: number | undefined;
  /** The idempotency key of each image's request. Default: random ones. */
  idempotencyKey?: ((image: Image, index: number) => string) | undefined;
  onProgress?: ((progress: Progress) => void) | undefined;
}

export interface Client<Image = ImageInput> {
  /**
   * Classifies one image.
   * @returns the prediction, once it has SUCCEEDED
   * @throws InferqlError if the image is refused, the prediction ends otherwise, or no server could be reached
   * @example
   * const { result } = await client.classify(file, { topK: 3, onUploadProgress: (share) => (bar.value = share) });
   * console.log(result.labels[0]?.name);
   */
  classify<const Model extends string = string>(
    image: Image,
    options?: ClassifyOptions<Model>,
  ): Promise<SucceededPrediction<LabelName<Model>, HeadNames<Model>>>;
  /**
   * Sends one image and does not wait for its result. Read it with {@link Client.watch} or {@link Client.prediction}, here or elsewhere.
   * @throws InferqlError if the image is refused, or no server could be reached. If the response was lost, the image may have been accepted:
   *   send it again with the error's `idempotencyKey`.
   * @example
   * const { id } = await client.submit(file);
   * history.pushState(null, '', `/p/${id}`);
   */
  submit<const Model extends string = string>(
    image: Image,
    options?: SubmitOptions<Model>,
  ): Promise<AcceptedPrediction>;
  /**
   * Classifies many images, a limited number at once. Returns the outcomes in the order of the images. A failure does not stop the others.
   * @example
   * const outcomes = await client.classifyAll(files, { onProgress: ({ done, total }) => console.log(`${done} of ${total}`) });
   * for (const { image, prediction, error } of outcomes) {
   *   console.log(image.name, prediction?.result.labels[0]?.name ?? error?.message);
   * }
   */
  classifyAll(
    images: Iterable<Image> | AsyncIterable<Image>,
    options?: ClassifyManyOptions<Image>,
  ): Promise<Outcome<Image>[]>;
  /**
   * Like classifyAll, but yields each outcome as soon as it is known. Leaving the loop cancels open predictions, and does not wait for the
   * next image of the source.
   */
  classifyEach(
    images: Iterable<Image> | AsyncIterable<Image>,
    options?: ClassifyManyOptions<Image>,
  ): AsyncGenerator<Outcome<Image>, void, undefined>;
  /**
   * Yields the current state at once, then each later one, and always the terminal one, after which it ends. Survives lost
   * connections and restarts of the server for up to `retryForMs`.
   * @throws InferqlError NOT_FOUND if the id is unknown
   * @example
   * for await (const { status, queuePosition } of client.watch(id)) console.log(status, queuePosition);
   */
  watch(id: string, options?: WatchOptions): AsyncGenerator<Prediction, void, undefined>;
  /** The current state; null if the id is unknown or the prediction ended too long ago. */
  prediction(id: string, options?: ReadOptions): Promise<Prediction | null>;
  /** Cancels a prediction. Returns the resulting state, or null if the id is unknown. */
  cancel(id: string, options?: ReadOptions): Promise<Prediction | null>;
  models(options?: CallOptions): Promise<Model[]>;
  /** The server's limits, to check or shrink an image before it is sent. */
  limits(options?: CallOptions): Promise<Limits>;
  /** The current state of a queue; null if there is no such model. Default: the default model. */
  queue(model?: string, options?: CallOptions): Promise<Queue | null>;
  /** Yields the queue at once, then after each change. Never ends unless the caller stops it. */
  watchQueue(model?: string, options?: CallOptions): AsyncGenerator<Queue, void, undefined>;
}
