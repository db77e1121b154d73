/** The life of a prediction on the server: submit, read, cancel, watch. */
import type { ImageDecoder } from '@inferql/images/decode/image-decoder';
import {
  ANONYMOUS_TENANT,
  type Caller,
  modelOfPrediction,
  newPredictionId,
  type PredictionState,
  type ServedModel,
} from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/errors';
import type { AdmitOutcome, Producer } from '@inferql/queue/producer';
import type { Refunds } from '@inferql/queue/refunds';
import { type Charge, type Limits, RateLimitedError } from '../access/limits.ts';
import { mayUseModel, type Principal } from '../access/principal.ts';
import type { Config } from '../config.ts';
import type { AdmissionControl, TenantShare } from './admission-control.ts';
import { applyBeforeAdmit, type Hooks, type SettledNotifier } from './hooks.ts';
import type { ModelCache } from './model-cache.ts';
import { openResultWaiter, PredictionStream, type ResultWaiter } from './prediction-stream.ts';
import type { PredictionTracker } from './prediction-tracker.ts';
import { checkArguments, describeRequest, digestContent, moreLabels, type SubmitRequest } from './submit-request.ts';

/** A prediction at one moment. */
export interface PredictionView {
  state: PredictionState;
  /** Its queue position if that is known already: 1 is next. */
  position?: number | undefined;
  /** The terminal state, or the current one if the wait ended before the work. */
  end?: Promise<PredictionState> | undefined;
}

type Admitted = Extract<AdmitOutcome, { kind: 'admitted' }>;

/** A wait lasts this much longer than the prediction's deadline, to answer with its end. */
const DEADLINE_GRACE_MS = 2_000;
const VERSION_TRIES = 3;

/** Submits, reads, cancels and watches predictions. Independent of GraphQL and HTTP. */
export function createPredictions(options: {
  config: Pick<
    Config,
    'maxWaitMs' | 'share' | 'shareAcrossTenants' | 'tenantQueueShare' | 'cacheTtlMs' | 'cancelAbandoned' | 'drainMs'
  >;
  producer: Producer;
  tracker: PredictionTracker;
  modelCache: ModelCache;
  admission: AdmissionControl;
  limits: Pick<Limits, 'charge' | 'hold'>;
  refunds: Pick<Refunds, 'settle'>;
  decoder: Pick<ImageDecoder, 'prepare'>;
  hooks: Hooks;
  settled: SettledNotifier;
  /** True from the moment that the server shuts down. */
  isDraining(): boolean;
}) {
  const { config, producer, tracker, modelCache, admission, limits, refunds, decoder, hooks, settled } = options;

  /** Callers that are not identified are one tenant, which may fill the whole queue. */
  const shareOf = ({ tenant }: Caller): TenantShare => ({
    tenant,
    queueShare: tenant === ANONYMOUS_TENANT ? 1 : config.tenantQueueShare,
  });

  /** For models that refuse what cannot end in time. A rate that cannot be read refuses nothing. */
  async function readCapacity(model: ServedModel): Promise<number | undefined> {
    if (!model.queue.refuseUnreachableDeadlines) return undefined;
    return (await modelCache.readQueue(model.name).catch(() => null))?.ratePerSecond;
  }

  async function findModel({ model: name, caller }: SubmitRequest): Promise<ServedModel> {
    const model = await modelCache.findModel(name, (candidate) => mayUseModel(caller, candidate));
    if (model) return model;
    if (name === undefined)
      throw new InferqlError('UNAVAILABLE', { message: 'No model is served yet.', retryAfterMs: 2_000 });
    if (mayUseModel(caller, name) && (await modelCache.isUnserved(name))) {
      const message = `No worker has served the model ${name} for longer than its grace period.`;
      throw new InferqlError('UNAVAILABLE', { message, retryAfterMs: 30_000 });
    }
    throw new InferqlError('MODEL_NOT_FOUND');
  }

  async function admit(
    request: SubmitRequest,
    id: string,
    model: ServedModel,
    charged: Charge | undefined,
  ): Promise<Admitted | 'staleVersion'> {
    let content: string | undefined;
    const read = async () => {
      const file = await request.image.readBytes();
      if (request.idempotencyKey !== undefined) content ??= digestContent(file, request);
      return file;
    };
    const image = await decoder.prepare({ read, signal: request.signal, tenant: request.caller.tenant }, model.input);
    const outcome = await producer.admit({
      id,
      model,
      image,
      options: { heatmap: request.heatmap && model.heatmap.available, ...moreLabels(request) },
      priority: request.priority,
      timeoutMs: request.timeoutMs ?? model.queue.defaultTimeoutMs,
      caller: request.caller,
      idempotencyKey: describeRequest(request),
      content,
      share: config.share,
      shareAcrossTenants: config.shareAcrossTenants,
      tenantShare: shareOf(request.caller).queueShare,
      charge: charged?.text,
      capacityPerSecond: await readCapacity(model),
      cacheTtlMs: config.cacheTtlMs,
    });
    switch (outcome.kind) {
      case 'admitted':
        return outcome;
      case 'staleVersion':
        return 'staleVersion';
      case 'queueFull':
        throw await admission.onQueueFull(model, shareOf(request.caller));
      case 'deadlineUnreachable':
        throw new InferqlError('DEADLINE_UNREACHABLE', { retryAfterMs: Math.max(1_000, outcome.lateMs) });
      case 'unavailable':
        throw new InferqlError('UNAVAILABLE', { message: 'No worker serves this model now.', retryAfterMs: 5_000 });
      case 'idempotencyConflict':
        throw new InferqlError('IDEMPOTENCY_KEY_REUSED');
      default:
        return outcome satisfies never;
    }
  }

  /** Whether the request's key names a prediction that already exists: then it is not refused. */
  async function isKnown(request: SubmitRequest, model: ServedModel): Promise<boolean> {
    const key = describeRequest(request);
    return key !== undefined && (await producer.isKeyUsed(model.name, request.caller.tenant, key));
  }

  /** As `admission.reserveSlot`, but lets a known request through. */
  async function reserveSlot(request: SubmitRequest, model: ServedModel): Promise<() => void> {
    try {
      return await admission.reserveSlot(model, shareOf(request.caller));
    } catch (error) {
      if (!(await isKnown(request, model))) throw error;
      return () => undefined;
    }
  }

  /** As `limits.charge`, but lets a known request through. */
  async function charge(request: SubmitRequest, id: string, model: ServedModel): Promise<Charge | undefined> {
    try {
      return await limits.charge(request.caller, id, model);
    } catch (error) {
      if (!(error instanceof RateLimitedError) || !(await isKnown(request, model))) throw error;
      return undefined;
    }
  }

  /** Admits, and charges the work to the caller's limits; a prediction that needs no work costs nothing. */
  async function admitCharged(request: SubmitRequest, id: string, found: ServedModel): Promise<Admitted> {
    const charged = await charge(request, id, found);
    try {
      const outcome = await admitCurrent(request, id, found, charged);
      if (outcome.state.id !== id || outcome.state.cached) await charged?.refund();
      return outcome;
    } catch (error) {
      await charged?.refund();
      throw error;
    }
  }

  /** Admits to the version that is current at that moment. */
  async function admitCurrent(
    request: SubmitRequest,
    id: string,
    found: ServedModel,
    charged: Charge | undefined,
  ): Promise<Admitted> {
    const leave = await reserveSlot(request, found);
    try {
      let model = found;
      for (let tries = 1; ; tries++) {
        const outcome = await admit(request, id, model, charged);
        if (outcome !== 'staleVersion') return outcome;
        if (tries === VERSION_TRIES) throw new InferqlError('UNAVAILABLE', { retryAfterMs: 1_000 });
        modelCache.forget();
        model = await findModel(request);
      }
    } finally {
      leave();
    }
  }

  /** Checks, decodes and admits. The listener is registered before the admission. */
  async function enqueue(sent: SubmitRequest) {
    checkArguments(sent);
    const asked = await findModel(sent);
    // Here, before its turn at the decoder, so that a slow upload blocks nobody.
    await sent.image.arrived();
    const arrivedAt = performance.now();
    const request = await askHook(sent);
    const model = request.model === sent.model ? asked : await findModel(request);
    await tracker.subscribe(model.name);
    if (options.isDraining()) throw new InferqlError('UNAVAILABLE', { retryAfterMs: 1_000 });
    const id = newPredictionId(model.name);
    // Before it is queued, so that an immediate answer is received.
    const waiter = request.wait === 'none' ? undefined : openResultWaiter(tracker, id, config.drainMs);
    settled.expect(id);
    try {
      const outcome = await admitCharged(request, id, model);
      if (outcome.state.id !== id) settled.forget(id);
      settled.onState(outcome.state);
      return { id, waiter, arrivedAt, outcome };
    } catch (error) {
      settled.forget(id);
      waiter?.close();
      throw error;
    }
  }

  async function submit(request: SubmitRequest): Promise<PredictionView> {
    // A mutation may wait for a minute, and should not hold its image that long.
    const { id, outcome, arrivedAt, waiter: opened } = await enqueue(request).finally(() => request.image.release());
    let waiter = opened;
    try {
      const { state, position } = outcome;
      if (state.id !== id && waiter) {
        // The key named an earlier prediction; read what happened to it before.
        waiter.close();
        waiter = openResultWaiter(tracker, state.id, config.drainMs);
        const present = await producer.read(state.id);
        if (present) tracker.offer(present.state, present.position);
      }
      tracker.offer(state, position);
      if (!waiter) return { state, position };
      const end = waitForEnd(waiter, state, request, { isOurs: state.id === id, arrivedAt });
      return request.wait === 'deferred' ? { state, position, end } : { state: await end };
    } catch (error) {
      waiter?.close();
      throw error;
    }
  }

  async function askHook(request: SubmitRequest): Promise<SubmitRequest> {
    if (!hooks.beforeAdmit) return request;
    const { caller, image, model } = request;
    const decision = await applyBeforeAdmit(hooks.beforeAdmit, { image: await image.readBytes(), model, caller });
    return { ...request, model: decision };
  }

  return {
    /**
     * Queues an image's prediction and waits for its end if the request says so.
     * @throws InferqlError of a `member` code (the image, an argument), RATE_LIMITED, QUEUE_FULL or UNAVAILABLE
     */
    async submit(request: SubmitRequest): Promise<PredictionView> {
      let leave: () => void;
      try {
        leave = limits.hold(request.caller, 'waiting');
      } catch (error) {
        request.image.release();
        throw error;
      }
      let end: Promise<unknown> | undefined;
      try {
        const view = await submit(request);
        end = view.end?.then(leave, leave);
        return view;
      } finally {
        if (!end) leave();
      }
    },

    /** The current state, or null if the tenant has no such prediction or the caller may not use its model. */
    async read(caller: Principal, id: string): Promise<PredictionView | null> {
      return mayKnow(caller, id) ? await producer.readFor(caller.tenant, id) : null;
    },

    /** Ends it CANCELED unless it has ended; the state after that, or null as for `read`. */
    async cancel(caller: Principal, id: string): Promise<PredictionView | null> {
      const state = mayKnow(caller, id) ? await producer.cancelFor(caller.tenant, id) : null;
      // Now, so that the caller sees it at once; otherwise the backend's sweep gives it back.
      if (state?.status === 'CANCELED') await refunds.settle(state.model).catch(() => undefined);
      return state && { state };
    },

    /**
     * The current state, then each newer one; ends after the terminal one.
     * @throws InferqlError NOT_FOUND, or UNAVAILABLE if the server shuts down or Redis does not answer
     */
    async watch(caller: Principal, id: string, wantsPositions: boolean): Promise<PredictionStream> {
      const { tenant } = caller;
      if (options.isDraining()) throw new InferqlError('UNAVAILABLE', { retryAfterMs: 1_000 });
      const name = modelOfPrediction(id);
      // Subscribe only to channels of existing models, whatever an id names. A withdrawn model may still have work.
      const exists =
        name &&
        mayUseModel(caller, name) &&
        ((await modelCache.findModel(name)) || (await producer.readFor(tenant, id)));
      if (!exists) throw new InferqlError('NOT_FOUND');
      await tracker.subscribe(name);
      const stream = new PredictionStream(tracker, id, { wantsPositions });
      try {
        const present = await producer.readFor(tenant, id);
        if (!present) throw new InferqlError('NOT_FOUND');
        stream.prime(present);
        return stream;
      } catch (error) {
        stream.end();
        throw error;
      }
    },
  };

  async function waitForEnd(
    waiter: ResultWaiter,
    state: PredictionState,
    request: SubmitRequest,
    { isOurs, arrivedAt }: { isOurs: boolean; arrivedAt: number },
  ): Promise<PredictionState> {
    const leftMs = state.deadlineMs - state.createdAtMs + DEADLINE_GRACE_MS;
    // Decoding time counts.
    const waitMs = Math.max(0, config.maxWaitMs - (performance.now() - arrivedAt));
    const last = await waiter.wait(Math.min(waitMs, leftMs), request.signal);
    const abandoned = request.signal?.aborted && last.status === 'QUEUED';
    // A caller that got the id, from a deferred answer or by an idempotency key, may come back for it.
    const idIsKnown = request.wait !== 'result' || !isOurs || request.idempotencyKey !== undefined;
    if (abandoned && !idIsKnown && config.cancelAbandoned && tracker.countListeners(last.id) === 0) {
      await producer.cancel(last.id, { onlyAbandoned: true }).catch(() => undefined);
    }
    return last;
  }
}

/** Decided from the id's text alone: it reveals nothing about what exists. */
function mayKnow(caller: Principal, id: string): boolean {
  const model = modelOfPrediction(id);
  return model !== undefined && mayUseModel(caller, model);
}
