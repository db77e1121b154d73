import type { Refunds } from '@inferql/queue/access/refunds';
import { modelOfPrediction, newPredictionId, type PredictionState } from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/error-codes';
import type { Producer } from '@inferql/queue/predictions/producer';
import type { Limits } from '../access/caller-limits.ts';
import { mayUseModel, type Principal } from '../access/principal.ts';
import type { Config } from '../config.ts';
import type { Admission, Admitted } from './admission.ts';
import { applyBeforeAdmit, type Hooks, type SettledNotifier } from './host-hooks.ts';
import type { ModelCache } from './model-cache.ts';
import { openResultWaiter, PredictionStream, type ResultWaiter } from './prediction-stream.ts';
import type { PredictionTracker } from './prediction-tracker.ts';
import { requireModel } from './require-model.ts';
import { checkArguments, type SubmitRequest } from './submit-request.ts';

/** A prediction at one point in time. */
export interface PredictionView {
  state: PredictionState;
  /** Its queue position, if already known: 1 is next. */
  position?: number | undefined;
  /** The terminal state, or the current state if the wait ended before the prediction did. */
  end?: Promise<PredictionState> | undefined;
  /** Set for a prediction that was just submitted. */
  timings?: SubmitTimings | undefined;
}

/** Times before the queue, in milliseconds. */
export interface SubmitTimings {
  /** From the request to the complete file. */
  uploadMs: number;
  /** From the complete file to the pixels, including the wait for a decoder. */
  decodeMs: number;
}

export interface PredictionsOptions {
  config: Pick<Config, 'maxWaitMs' | 'cancelAbandoned' | 'drainMs'>;
  producer: Producer;
  tracker: PredictionTracker;
  modelCache: ModelCache;
  admission: Admission;
  limits: Pick<Limits, 'hold'>;
  refunds: Pick<Refunds, 'settle'>;
  hooks: Hooks;
  settled: SettledNotifier;
  /** Called with the error of each request whose image was not accepted. */
  onRefused?(request: SubmitRequest, error: unknown): void;
  /** True once the server is shutting down. */
  isDraining(): boolean;
}

/** A queued prediction and, if its caller waits for the result, the waiter. */
interface Queued {
  id: string;
  outcome: Admitted;
  waiter: ResultWaiter | undefined;
  /** When the file was complete, by `performance.now()`. */
  arrivedAtMs: number;
  timings: SubmitTimings;
}

/** A wait continues this long after the prediction's deadline, in milliseconds, so that the response can report the expiration. */
const DEADLINE_GRACE_MS = 2_000;

/** Submits, reads, cancels and watches predictions. Independent of GraphQL and HTTP. */
export class Predictions {
  readonly #options: PredictionsOptions;

  constructor(options: PredictionsOptions) {
    this.#options = options;
  }

  /**
   * Queues a prediction for an image, and waits for its end if the request asks for it.
   * @throws InferqlError of a `member` code (the image, an argument), RATE_LIMITED, QUEUE_FULL or UNAVAILABLE
   */
  async submit(request: SubmitRequest): Promise<PredictionView> {
    let leave: () => void;
    try {
      leave = this.#options.limits.hold(request.caller, 'waiting');
    } catch (error) {
      request.image.release();
      this.#options.onRefused?.(request, error);
      throw error;
    }
    let end: Promise<unknown> | undefined;
    try {
      // A mutation may wait for a minute, and should not hold its image that long.
      const queued = await this.#enqueue(request)
        .finally(() => request.image.release())
        .catch((error) => {
          this.#options.onRefused?.(request, error);
          throw error;
        });
      const view = await this.#answer(request, queued);
      end = view.end?.then(leave, leave);
      return view;
    } finally {
      if (!end) leave();
    }
  }

  /** Checks, decodes and admits. The listener is registered before the admission. */
  async #enqueue(sent: SubmitRequest): Promise<Queued> {
    const { config, tracker, modelCache, admission, settled } = this.#options;
    const beganAtMs = performance.now();
    checkArguments(sent);
    const asked = await requireModel(modelCache, sent);
    // Wait for the file before queueing for the decoder, so that a slow upload blocks no other image.
    await sent.image.arrived();
    const arrivedAtMs = performance.now();
    const request = await this.#askHook(sent);
    const model = request.model === sent.model ? asked : await requireModel(modelCache, request);
    await tracker.subscribe(model.name);
    if (this.#options.isDraining()) throw new InferqlError('UNAVAILABLE', { retryAfterMs: 1_000 });
    const id = newPredictionId(model.name);
    // Listen before the job is queued, so that an immediate result is not missed.
    const waiter = request.wait === 'none' ? undefined : openResultWaiter(tracker, id, config.drainMs);
    settled.expect(id);
    try {
      const outcome = await admission.admit(request, id, model);
      if (outcome.state.id !== id) settled.forget(id);
      settled.onState(outcome.state);
      const timings = { uploadMs: arrivedAtMs - beganAtMs, decodeMs: outcome.prepareMs };
      return { id, outcome, waiter, arrivedAtMs, timings };
    } catch (error) {
      settled.forget(id);
      waiter?.close();
      throw error;
    }
  }

  async #askHook(request: SubmitRequest): Promise<SubmitRequest> {
    const { beforeAdmit } = this.#options.hooks;
    if (!beforeAdmit) return request;
    const { caller, image, model } = request;
    const decision = await applyBeforeAdmit(beforeAdmit, { image: await image.readBytes(), model, caller });
    return { ...request, model: decision };
  }

  /** The current or the terminal state, depending on what the request waits for. */
  async #answer(
    request: SubmitRequest,
    { id, outcome, waiter: opened, arrivedAtMs, timings }: Queued,
  ): Promise<PredictionView> {
    const { config, producer, tracker } = this.#options;
    const { state, position } = outcome;
    const isOurs = state.id === id;
    let waiter = opened;
    try {
      if (!isOurs && waiter) {
        // The idempotency key belongs to an earlier prediction: read its current state.
        waiter.close();
        waiter = openResultWaiter(tracker, state.id, config.drainMs);
        const present = await producer.read(state.id);
        if (present) tracker.offer(present.state, present.position);
      }
      tracker.offer(state, position);
      if (!waiter) {
        await this.#cancelAbandoned(request, state, isOurs);
        return { state, position, timings };
      }
      const end = this.#waitForEnd(waiter, state, request, { isOurs, arrivedAtMs });
      return request.wait === 'deferred' ? { state, position, end, timings } : { state: await end, timings };
    } catch (error) {
      waiter?.close();
      throw error;
    }
  }

  async #waitForEnd(
    waiter: ResultWaiter,
    state: PredictionState,
    request: SubmitRequest,
    { isOurs, arrivedAtMs }: { isOurs: boolean; arrivedAtMs: number },
  ): Promise<PredictionState> {
    const { config } = this.#options;
    // A deferred response begins with it.
    const idIsSent = request.wait === 'deferred' && !request.signal?.aborted;
    const leftMs = state.deadlineMs - state.createdAtMs + DEADLINE_GRACE_MS;
    // Decoding time counts.
    const waitMs = Math.max(0, config.maxWaitMs - (performance.now() - arrivedAtMs));
    const last = await waiter.wait(Math.min(waitMs, leftMs), request.signal);
    if (!idIsSent) await this.#cancelAbandoned(request, last, isOurs);
    return last;
  }

  /** Cancels a prediction that waits although its caller has left without its id. With an idempotency key, the caller may return for it. */
  async #cancelAbandoned(
    { signal, idempotencyKey }: SubmitRequest,
    { id, status }: PredictionState,
    isOurs: boolean,
  ): Promise<void> {
    const { config, producer, tracker } = this.#options;
    if (!signal?.aborted || status !== 'QUEUED' || !isOurs || idempotencyKey !== undefined) return;
    if (config.cancelAbandoned && tracker.countListeners(id) === 0) {
      await producer.cancel(id, { onlyAbandoned: true }).catch(() => undefined);
    }
  }

  /** The current state, or null if the tenant has no such prediction or the caller may not use its model. */
  async read(caller: Principal, id: string): Promise<PredictionView | null> {
    return mayKnow(caller, id) ? await this.#options.producer.readFor(caller.tenant, id) : null;
  }

  /** Cancels the prediction unless it has ended. Returns the resulting state, or null as `read` does. */
  async cancel(caller: Principal, id: string): Promise<PredictionView | null> {
    const { producer, refunds } = this.#options;
    const state = mayKnow(caller, id) ? await producer.cancelFor(caller.tenant, id) : null;
    // Refund now, so that the caller sees it at once; otherwise the queue sweeper would do it later.
    if (state?.status === 'CANCELED') await refunds.settle(state.model).catch(() => undefined);
    return state && { state };
  }

  /**
   * Streams the current state, then each newer one, and ends after the terminal one.
   * @param drainMs how long it may continue once the server shuts down; 0: a server that shuts down opens none
   * @throws InferqlError NOT_FOUND, or UNAVAILABLE if the server shuts down or Redis does not answer
   */
  async watch(caller: Principal, id: string, wantsPositions: boolean, drainMs = 0): Promise<PredictionStream> {
    const { producer, tracker, modelCache } = this.#options;
    const { tenant } = caller;
    if (this.#options.isDraining() && drainMs === 0) throw new InferqlError('UNAVAILABLE', { retryAfterMs: 1_000 });
    const name = modelOfPrediction(id);
    // Subscribe only to channels of existing models, since an id may contain any name. A withdrawn model may still have open predictions.
    const exists =
      name && mayUseModel(caller, name) && ((await modelCache.findModel(name)) || (await producer.readFor(tenant, id)));
    if (!exists) throw new InferqlError('NOT_FOUND');
    await tracker.subscribe(name);
    const stream = new PredictionStream(tracker, id, { wantsPositions, drainMs });
    try {
      const present = await producer.readFor(tenant, id);
      if (!present) throw new InferqlError('NOT_FOUND');
      stream.prime(present);
      return stream;
    } catch (error) {
      stream.end();
      throw error;
    }
  }
}

/** Decided only from the id's text, so it does not reveal whether the prediction exists. */
function mayKnow(caller: Principal, id: string): boolean {
  const model = modelOfPrediction(id);
  return model !== undefined && mayUseModel(caller, model);
}
