/** What this server counts of the predictions that it accepts or refuses. Figures of several servers can be added. */
import type { ImageDecoder } from '@inferql/images/decode/image-decoder';
import type { PredictionState } from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/error-codes';
import { Counter, Histogram, type Registry } from 'prom-client';

/** Seconds, from the fastest model to the longest deadline. */
const DURATIONS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300];
const BATCH_SIZES = [1, 2, 4, 8, 16, 32, 64];
const FILE_SIZES = [10e3, 30e3, 100e3, 300e3, 1e6, 3e6, 10e6];
/** Each label value is a time series: further tenants are added up as `other`. */
const MAX_TENANTS = 50;
const OTHER_TENANTS = 'other';
/** For a refused request that names no model of this system. */
const UNKNOWN_MODEL = 'unknown';

export class PredictionMetrics {
  readonly #ended: Counter;
  readonly #refused: Counter;
  readonly #workSeconds: Counter;
  readonly #queueWait: Histogram;
  readonly #inference: Histogram;
  readonly #whole: Histogram;
  readonly #batchSize: Histogram;
  readonly #decode: Histogram;
  readonly #fileBytes: Histogram;
  readonly #tenants = new Set<string>();

  constructor(registry: Registry) {
    const registers = [registry];
    const perVersion = { labelNames: ['model', 'version'], buckets: DURATIONS, registers };
    this.#ended = new Counter({
      name: 'inferql_predictions_total',
      help: 'Predictions that this server accepted and that have ended, by terminal status.',
      labelNames: ['model', 'version', 'status', 'cached', 'priority'],
      registers,
    });
    this.#refused = new Counter({
      name: 'inferql_admission_refused_total',
      help: 'Images that this server did not accept, by error code.',
      labelNames: ['model', 'code'],
      registers,
    });
    this.#workSeconds = new Counter({
      name: 'inferql_work_seconds_total',
      help: 'Time of engines that predictions took: the run divided by its batch size.',
      labelNames: ['model', 'tenant'],
      registers,
    });
    this.#queueWait = new Histogram({
      name: 'inferql_queue_wait_seconds',
      help: 'From acceptance to the start of the last attempt.',
      ...perVersion,
    });
    this.#inference = new Histogram({
      name: 'inferql_inference_seconds',
      help: 'Time of the engine run that gave the result.',
      ...perVersion,
    });
    this.#whole = new Histogram({
      name: 'inferql_prediction_seconds',
      help: 'From acceptance to success.',
      ...perVersion,
    });
    this.#batchSize = new Histogram({
      name: 'inferql_batch_size',
      help: 'Size of the batch in which a prediction ran, counted once per prediction.',
      labelNames: ['model', 'version'],
      buckets: BATCH_SIZES,
      registers,
    });
    this.#decode = new Histogram({
      name: 'inferql_decode_seconds',
      help: 'From a whole file to the pixels of its model, waiting for a decoder included.',
      buckets: DURATIONS,
      registers,
    });
    this.#fileBytes = new Histogram({
      name: 'inferql_upload_bytes',
      help: 'Size of image files.',
      buckets: FILE_SIZES,
      registers,
    });
  }

  /** Call it once per prediction that this server accepted, with its terminal state. */
  readonly onSettled = (state: PredictionState): void => {
    const { model, version, status, priority, cached, createdAtMs, startedAtMs, finishedAtMs, inferenceMs, batchSize } =
      state;
    this.#ended.inc({ model, version, status, cached: String(cached), priority });
    // What was shared or cached took no time of an engine.
    if (status !== 'SUCCEEDED' || cached) return;
    const labels = { model, version };
    if (finishedAtMs !== undefined) this.#whole.observe(labels, seconds(finishedAtMs - createdAtMs));
    if (startedAtMs !== undefined) this.#queueWait.observe(labels, seconds(startedAtMs - createdAtMs));
    if (batchSize !== undefined) this.#batchSize.observe(labels, batchSize);
    if (inferenceMs === undefined) return;
    this.#inference.observe(labels, seconds(inferenceMs));
    this.#workSeconds.inc({ model, tenant: this.#labelOf(state.tenant) }, seconds(inferenceMs / (batchSize ?? 1)));
  };

  /** Call it with what ended a request before its image was accepted. Errors that are not refusals are not counted. */
  onRefused(model: string | undefined, error: unknown): void {
    if (error instanceof InferqlError) this.#refused.inc({ model: model ?? UNKNOWN_MODEL, code: error.code });
  }

  /** The decoder, with its time and the sizes of files measured. */
  measure(decoder: Pick<ImageDecoder, 'prepare'>): Pick<ImageDecoder, 'prepare'> {
    return {
      prepare: async (source, input) => {
        let size: number | undefined;
        const read = async () => {
          const file = await source.read();
          size = file.length;
          return file;
        };
        const stop = this.#decode.startTimer();
        try {
          return await decoder.prepare({ ...source, read }, input);
        } finally {
          stop();
          if (size !== undefined) this.#fileBytes.observe(size);
        }
      },
    };
  }

  #labelOf(tenant: string): string {
    if (this.#tenants.size < MAX_TENANTS) this.#tenants.add(tenant);
    return this.#tenants.has(tenant) ? tenant : OTHER_TENANTS;
  }
}

/** Times are by Redis' clock, which may be set back between two of them. */
function seconds(ms: number): number {
  return Math.max(0, ms) / 1_000;
}
