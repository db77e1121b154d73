import { errorOfCode, InferqlError } from './errors.ts';
import { CancelDocument, ClassifyDocument, type ClassifyMutation } from './generated/graphql.ts';
import { withRetries } from './retry.ts';
import type { Transport } from './transport.ts';
import type { ClassifyOptions, Prediction, SucceededPrediction } from './types.ts';
import { isTerminal, selectFields, watchPrediction } from './watch.ts';

/** How long an aborting caller waits for the server to be notified. */
const FAREWELL_MS = 2_000;

/** Sends the image and watches its prediction to the end. See Client.classify. */
export async function classifyImage(
  transport: Transport,
  retryForMs: number,
  image: Blob,
  given: ClassifyOptions,
): Promise<SucceededPrediction> {
  // A separate signal per call: Node warns about a leak if many listeners share one signal.
  const options = given.signal ? { ...given, signal: AbortSignal.any([given.signal]) } : given;
  const { signal, onState } = options;
  signal?.throwIfAborted();
  const { id, end } = await submitImage(transport, retryForMs, image, options);
  let last = end;
  try {
    signal?.throwIfAborted();
    if (!last) {
      for await (const state of watchPrediction(transport, retryForMs, id, options)) {
        last = state;
        onState?.(state);
      }
    }
  } catch (error) {
    if (signal?.aborted) await sayFarewell(transport, id);
    throw error;
  }
  return requireSuccess(last);
}

/**
 * @returns the id, and the end of the prediction if it came in the same response. It does not if the caller wants the states on
 *   the way, if the connection broke after the id, or if the server's wait ended first.
 */
async function submitImage(
  transport: Transport,
  retryForMs: number,
  image: Blob,
  options: ClassifyOptions,
): Promise<{ id: string; end?: Prediction }> {
  const { model, priority, timeoutMs, signal, onState, idempotencyKey = crypto.randomUUID() } = options;
  const variables = {
    image: null as unknown as Blob,
    model: model ?? null,
    priority: priority ?? null,
    timeoutMs: timeoutMs ?? null,
    idempotencyKey,
    ...selectFields(options),
    follow: onState === undefined,
  };
  return withRetries(retryForMs, signal, async () => {
    // The request may have been accepted when the caller aborts: a moment later the id arrives, with which it can be canceled.
    const patience = delayAbort(signal, FAREWELL_MS);
    let id: string | undefined;
    try {
      const file = { name: 'image', blob: image } as const;
      for await (const answer of transport.stream(ClassifyDocument, variables, { signal: patience.signal, file })) {
        if (answer.data) {
          id = requireId(answer.data.classifyImage);
          patience.end();
          continue;
        }
        const end = answer.deferred.filter(isState).at(-1);
        if (id && end && isTerminal(end.status)) return { id, end };
      }
    } catch (error) {
      if (!id) throw error;
    } finally {
      patience.stop();
    }
    if (!id) throw new InferqlError('BAD_RESPONSE', 'The server gave no answer to the upload.');
    return { id };
  });
}

function requireId(outcome: ClassifyMutation['classifyImage']): string {
  if (outcome.__typename === 'Prediction') return outcome.id;
  const argument = outcome.__typename === 'InvalidInputError' ? (outcome.argument ?? undefined) : undefined;
  throw errorOfCode(outcome.code, outcome.message, { argument });
}

function isState(data: unknown): data is Prediction {
  return typeof data === 'object' && data !== null && 'id' in data && 'status' in data;
}

async function sayFarewell(transport: Transport, id: string): Promise<void> {
  const variables = { id, ...selectFields({}) };
  // A server that is gone cannot be notified.
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

/** A signal that follows another one with a delay. */
function delayAbort(signal: AbortSignal | undefined, delayMs: number) {
  const controller = new AbortController();
  const abort = () => controller.abort(signal?.reason);
  let timer: ReturnType<typeof setTimeout> | undefined;
  let patient = true;
  const begin = () => {
    if (patient) timer = setTimeout(abort, delayMs);
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
