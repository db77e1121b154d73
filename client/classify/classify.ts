import type { AcceptedPrediction, Prediction, SucceededPrediction } from '../answers/answer-types.ts';
import type { ClassifyOptions, SubmitOptions } from '../client-types.ts';
import { errorOfCode, InferqlError } from '../errors.ts';
import {
  type AcceptedStateFragment,
  CancelDocument,
  ClassifyDocument,
  type ClassifyMutation,
} from '../generated/graphql.ts';
import { withRetries } from '../requests/retry.ts';
import type { Transport } from '../requests/transport.ts';
import type { Subscriber } from '../subscriptions/subscriber.ts';
import { isTerminal, selectFields, watchPrediction } from '../subscriptions/watch.ts';
import type { Semaphore } from './semaphore.ts';

/** Maximum time that an aborted call waits for the server to confirm the cancellation, in milliseconds. */
const FAREWELL_MS = 2_000;

/** What images are sent with. */
export interface Uploads {
  transport: Transport;
  subscriber: Subscriber;
  /** Limits the number of concurrent uploads. */
  semaphore: Semaphore;
}

/** Sends the image and watches its prediction to the end. See Client.classify. */
export async function classifyImage(
  uploads: Uploads,
  image: Blob,
  given: ClassifyOptions,
): Promise<SucceededPrediction> {
  const options = prepareOptions(given);
  return namingKey(options, () => classifyWithKey(uploads, image, options));
}

async function classifyWithKey(
  uploads: Uploads,
  image: Blob,
  options: WithKey<ClassifyOptions>,
): Promise<SucceededPrediction> {
  const { signal, onState } = options;
  signal?.throwIfAborted();
  const { id, end } = await sendImage(uploads, image, options, onState ? 'id' : 'end');
  let last = end;
  try {
    signal?.throwIfAborted();
    if (!last) {
      for await (const state of watchPrediction(uploads.subscriber, id, options)) {
        last = state;
        onState?.(state);
      }
    }
  } catch (error) {
    if (signal?.aborted) await sayFarewell(uploads.transport, id);
    throw error;
  }
  return requireSuccess(last);
}

/** Sends the image. See Client.submit. */
export async function submitImage(uploads: Uploads, image: Blob, given: SubmitOptions): Promise<AcceptedPrediction> {
  const options = prepareOptions(given);
  const { signal } = options;
  signal?.throwIfAborted();
  const { id, accepted } = await namingKey(options, () => sendImage(uploads, image, options, 'state'));
  if (signal?.aborted) {
    await sayFarewell(uploads.transport, id);
    throw signal.reason;
  }
  if (!accepted) throw new InferqlError('BAD_RESPONSE', 'The server did not send the state of the prediction.');
  return accepted;
}

type WithKey<Options> = Options & { idempotencyKey: string };

/** With a separate signal per call: Node warns about a leak if many listeners share one signal. */
function prepareOptions<Options extends SubmitOptions>(given: Options): WithKey<Options> {
  const options = { ...given, idempotencyKey: given.idempotencyKey ?? makeKey() };
  return given.signal ? { ...options, signal: AbortSignal.any([given.signal]) } : options;
}

/** Adds the key to errors, after which nobody knows whether the server has accepted the image. */
async function namingKey<T>({ idempotencyKey }: WithKey<object>, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw error instanceof InferqlError ? Object.assign(error, { idempotencyKey }) : error;
  }
}

interface Sent {
  id: string;
  /** The first state. */
  accepted?: AcceptedPrediction;
  /** The last one. */
  end?: Prediction;
}

/**
 * Sends the image until it is accepted or retrying makes no sense.
 * @param wanted what the response contains: only the `id`, also the first `state`, or also the prediction's `end`. The end is missing if
 *   the connection broke after the id, or if the server's wait ended first.
 */
async function sendImage(
  { transport, semaphore }: Uploads,
  image: Blob,
  options: WithKey<SubmitOptions>,
  wanted: 'id' | 'state' | 'end',
): Promise<Sent> {
  const { model, priority, timeoutMs, idempotencyKey, signal, onUploadProgress, heatmap = false } = options;
  const variables = {
    image: null as unknown as Blob,
    model: model ?? null,
    priority: priority ?? null,
    timeoutMs: timeoutMs ?? null,
    idempotencyKey,
    ...selectFields(options),
    keepHeatmap: heatmap,
    state: wanted === 'state',
    follow: wanted === 'end',
  };
  return withRetries(options, async () => {
    const release = await semaphore.acquire(signal);
    let sent: number | undefined;
    const onProgress = (share: number) => {
      sent = share;
      onUploadProgress?.(share);
    };
    // The request may have been accepted when the caller aborts: a moment later the id arrives, with which it can be canceled.
    const patience = delayAbort(signal, () => (sent === undefined || sent === 1 ? FAREWELL_MS : 0));
    let answered: Sent | undefined;
    try {
      onUploadProgress?.(0);
      signal?.throwIfAborted();
      const file = { name: 'image', blob: image } as const;
      const stream = transport.stream(ClassifyDocument, variables, {
        signal: patience.signal,
        file,
        isSingle: wanted !== 'end',
        onProgress: onUploadProgress && onProgress,
      });
      for await (const answer of stream) {
        if (answer.data) {
          answered = readAccepted(answer.data.classifyImage);
          if (sent !== 1) onUploadProgress?.(1);
          release();
          patience.end();
          continue;
        }
        const end = answer.deferred.filter(isState).at(-1);
        if (answered && end && isTerminal(end.status)) return { ...answered, end };
      }
    } catch (error) {
      if (!answered) throw error;
    } finally {
      patience.stop();
      release();
    }
    if (!answered) throw new InferqlError('BAD_RESPONSE', 'The server did not answer the upload.');
    return answered;
  });
}

function readAccepted(outcome: ClassifyMutation['classifyImage']): Sent {
  if (outcome.__typename === 'Prediction') {
    const { id, status } = outcome as Partial<AcceptedStateFragment>;
    return status ? { id: id!, accepted: outcome as AcceptedStateFragment } : { id: id! };
  }
  const argument = outcome.__typename === 'InvalidInputError' ? (outcome.argument ?? undefined) : undefined;
  throw errorOfCode(outcome.code, outcome.message, { argument });
}

function isState(data: unknown): data is Prediction {
  return typeof data === 'object' && data !== null && 'id' in data && 'status' in data;
}

async function sayFarewell(transport: Transport, id: string): Promise<void> {
  const variables = { id, ...selectFields({}) };
  // A server that is down cannot be notified.
  await transport.execute(CancelDocument, variables, AbortSignal.timeout(FAREWELL_MS)).catch(() => {});
}

function requireSuccess(prediction: Prediction | undefined): SucceededPrediction {
  switch (prediction?.status) {
    case 'SUCCEEDED':
      return prediction as SucceededPrediction;
    case 'CANCELED':
      throw new InferqlError('CANCELED', 'The prediction was canceled.', { prediction });
    case 'FAILED':
    case 'EXPIRED': {
      const { code, message } = prediction.error ?? { code: 'MODEL_FAILED', message: 'The prediction failed.' };
      throw errorOfCode(code, message, { prediction });
    }
    default:
      throw new InferqlError('BAD_RESPONSE', 'The server ended the subscription before the prediction had ended.');
  }
}

/** `crypto.randomUUID` exists only on pages with a secure origin. */
function makeKey(): string {
  if (typeof crypto.randomUUID === 'function') return crypto.randomUUID();
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/**
 * A signal that is aborted some time after another one.
 * @param getDelayMs called when the other signal is aborted; returns the delay
 */
function delayAbort(signal: AbortSignal | undefined, getDelayMs: () => number) {
  const controller = new AbortController();
  const abort = () => controller.abort(signal?.reason);
  let timer: ReturnType<typeof setTimeout> | undefined;
  let patient = true;
  const begin = () => {
    const delayMs = patient ? getDelayMs() : 0;
    if (delayMs > 0) timer = setTimeout(abort, delayMs);
    else abort();
  };
  signal?.addEventListener('abort', begin, { once: true });
  return {
    signal: controller.signal,
    /** From now on, follows without a delay. */
    end() {
      patient = false;
      if (signal?.aborted) abort();
    },
    stop() {
      clearTimeout(timer);
      signal?.removeEventListener('abort', begin);
    },
  };
}
