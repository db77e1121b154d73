import type { ImageDecoder } from '@inferql/images/decode/image-decoder';
import type { ServedModel } from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/error-codes';
import type { AdmitOutcome, Producer } from '@inferql/queue/predictions/producer';
import { type Charge, type Limits, RateLimitedError } from '../access/caller-limits.ts';
import type { Principal } from '../access/principal.ts';
import type { Config } from '../config.ts';
import type { LoadShedder, TenantShare } from './load-shedder.ts';
import type { ModelCache } from './model-cache.ts';
import { requireModel } from './require-model.ts';
import { describeRequest, digestContent, moreLabels, type SubmitRequest } from './submit-request.ts';

const VERSION_TRIES = 3;

/** A queued prediction; `prepareMs` is the time from its file to its pixels, waiting for a decoder included. */
export type Admitted = Extract<AdmitOutcome, { kind: 'admitted' }> & { prepareMs: number };

export interface AdmissionOptions {
  config: Pick<Config, 'share' | 'shareAcrossTenants' | 'tenantQueueShare' | 'cacheTtlMs'>;
  producer: Producer;
  modelCache: ModelCache;
  loadShedder: LoadShedder;
  limits: Pick<Limits, 'charge'>;
  decoder: Pick<ImageDecoder, 'prepare'>;
}

/** Admits one image to the queue: charges the caller's limits, reserves a slot, prepares the pixels, and runs the admission step in Redis. */
export class Admission {
  readonly #options: AdmissionOptions;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /**
   * Charges the work to the caller's limits and queues it. A prediction that needs no work costs nothing.
   * @param id id of the new prediction; the outcome has another id if the request's idempotency key belongs to an earlier prediction
   * @throws InferqlError that is a union member (the image, the key), RATE_LIMITED, QUEUE_FULL, DEADLINE_UNREACHABLE or UNAVAILABLE
   */
  async admit(request: SubmitRequest, id: string, model: ServedModel): Promise<Admitted> {
    const payment = await this.#charge(request, id, model);
    const { charge } = payment;
    try {
      const outcome = await this.#admitToCurrentVersion(request, id, model, payment);
      if (outcome.state.id !== id || outcome.state.cached) await charge?.refund();
      return outcome;
    } catch (error) {
      await charge?.refund();
      throw error;
    }
  }

  /** Like `limits.charge`, but a request that may repeat an earlier one is refused only if it does not. */
  async #charge(request: SubmitRequest, id: string, model: ServedModel): Promise<Payment> {
    try {
      return { charge: await this.#options.limits.charge(request.caller, id, model) };
    } catch (error) {
      if (!(error instanceof RateLimitedError) || !(await this.#isKnown(request, model))) throw error;
      return { refusal: error };
    }
  }

  /** A model may get a new version while its image is prepared for the old one. */
  async #admitToCurrentVersion(
    request: SubmitRequest,
    id: string,
    found: ServedModel,
    payment: Payment,
  ): Promise<Admitted> {
    const { modelCache } = this.#options;
    const releaseSlot = await this.#reserveSlot(request, found);
    try {
      let model = found;
      for (let tries = 1; ; tries++) {
        const outcome = await this.#prepareAndAdmit(request, id, model, payment);
        if (outcome !== 'staleVersion') return outcome;
        if (tries === VERSION_TRIES) throw new InferqlError('UNAVAILABLE', { retryAfterMs: 1_000 });
        modelCache.forget();
        model = await requireModel(modelCache, request);
      }
    } finally {
      releaseSlot();
    }
  }

  /** Like `loadShedder.reserveSlot`, but accepts a repeated request in any case. */
  async #reserveSlot(request: SubmitRequest, model: ServedModel): Promise<() => void> {
    try {
      return await this.#options.loadShedder.reserveSlot(model, this.#shareOf(request.caller));
    } catch (error) {
      if (!(await this.#isKnown(request, model))) throw error;
      return () => undefined;
    }
  }

  async #prepareAndAdmit(
    request: SubmitRequest,
    id: string,
    model: ServedModel,
    { charge, refusal }: Payment,
  ): Promise<Admitted | 'staleVersion'> {
    const { config, producer, loadShedder, decoder } = this.#options;
    let content: string | undefined;
    const read = async () => {
      const file = await request.image.readBytes();
      if (request.idempotencyKey !== undefined) content ??= digestContent(file, request);
      return file;
    };
    const beganAtMs = performance.now();
    const image = await decoder.prepare({ read, signal: request.signal, tenant: request.caller.tenant }, model.input);
    const prepareMs = performance.now() - beganAtMs;
    const sent = producer.admit({
      id,
      model,
      image,
      options: { heatmap: request.heatmap && model.heatmap.available, ...moreLabels(request) },
      priority: request.priority,
      timeoutMs: request.timeoutMs ?? model.queue.defaultTimeoutMs,
      caller: request.caller,
      idempotencyKey: describeRequest(request),
      repeatOnly: refusal !== undefined,
      content,
      share: config.share,
      shareAcrossTenants: config.shareAcrossTenants,
      tenantShare: this.#shareOf(request.caller).queueShare,
      charge: charge?.text,
      capacityPerSecond: await this.#readCapacity(model),
      cacheTtlMs: config.cacheTtlMs,
    });
    const outcome = await sent.catch((error) => recover(error, charge));
    switch (outcome.kind) {
      case 'admitted':
        return { ...outcome, prepareMs };
      case 'staleVersion':
        return 'staleVersion';
      case 'queueFull':
        throw await loadShedder.onQueueFull(model, this.#shareOf(request.caller));
      case 'deadlineUnreachable':
        throw new InferqlError('DEADLINE_UNREACHABLE', { retryAfterMs: Math.max(1_000, outcome.lateMs) });
      case 'unavailable':
        throw new InferqlError('UNAVAILABLE', { message: 'No worker serves this model now.', retryAfterMs: 5_000 });
      case 'idempotencyConflict':
        throw new InferqlError('IDEMPOTENCY_KEY_REUSED');
      case 'notRepeated':
        throw refusal!;
      default:
        return outcome satisfies never;
    }
  }

  /** Callers that are not identified are one tenant, which may fill the whole queue. */
  #shareOf({ kind, tenant }: Principal): TenantShare {
    return { tenant, queueShare: kind === 'anonymous' ? 1 : this.#options.config.tenantQueueShare };
  }

  /** The rate for models that refuse unreachable deadlines. If it cannot be read, no request is refused. */
  async #readCapacity(model: ServedModel): Promise<number | undefined> {
    if (!model.queue.refuseUnreachableDeadlines) return undefined;
    return (await this.#options.modelCache.readQueue(model.name).catch(() => null))?.capacityPerSecond;
  }

  /** Whether the request may repeat an earlier one: its idempotency key was used. The step decides, since a key may name no prediction any more. */
  async #isKnown(request: SubmitRequest, model: ServedModel): Promise<boolean> {
    const key = describeRequest(request);
    return key !== undefined && (await this.#options.producer.isKeyUsed(model.name, request.caller.tenant, key));
  }
}

/** What a new prediction is paid with; or, if the caller's limits refuse it, why only a repeated request is accepted. */
type Payment = { charge: Charge; refusal?: never } | { charge?: never; refusal: RateLimitedError };

/** Whether an admission whose reply was lost took place is unknown: resolves it, and refunds the charge if it did not. */
async function recover(error: unknown, charge: Charge | undefined): Promise<AdmitOutcome> {
  const admitted = await charge?.resolve();
  if (!admitted) throw error;
  return { kind: 'admitted', ...admitted };
}
