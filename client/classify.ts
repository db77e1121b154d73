import { errorOfCode, InferqlError } from './errors.ts';
import { CancelDocument, SubmitDocument } from './generated/graphql.ts';
import { withRetries } from './retry.ts';
import type { Transport } from './transport.ts';
import type { ClassifyOptions, Prediction, SucceededPrediction } from './types.ts';
import { selectFields, watchPrediction } from './watch.ts';

/** How long a caller who aborts is kept for the server to learn of it. */
const FAREWELL_MS = 2_000;

/** Sends the image, then follows its prediction to the end. See Client.classify. */
export async function classifyImage(
  transport: Transport,
  retryForMs: number,
  image: Blob,
  given: ClassifyOptions,
): Promise<SucceededPrediction> {
  // A signal of this call's own: Node warns of a leak where many listen to one that many calls share.
  const options = given.signal ? { ...given, signal: AbortSignal.any([given.signal]) } : given;
  const { signal, onState } = options;
  signal?.throwIfAborted();
  const id = await submitImage(transport, retryForMs, image, options);
  let last: Prediction | undefined;
  try {
    signal?.throwIfAborted();
    for await (const state of watchPrediction(transport, retryForMs, id, options)) {
      last = state;
      onState?.(state);
    }
  } catch (error) {
    if (signal?.aborted) await sayFarewell(transport, id);
    throw error;
  }
  return requireSuccess(last);
}

async function submitImage(
  transport: Transport,
  retryForMs: number,
  image: Blob,
  { model, priority, timeoutMs, heatmap, signal, idempotencyKey = crypto.randomUUID() }: ClassifyOptions,
): Promise<string> {
  const variables = {
    image: null as unknown as Blob,
    model: model ?? null,
    priority: priority ?? null,
    timeoutMs: timeoutMs ?? null,
    heatmap: heatmap ?? null,
    idempotencyKey,
  };
  // The request may have been accepted when the caller aborts: a moment more brings its id, by which it can be cancelled.
  const patient = delayAbort(signal, FAREWELL_MS);
  try {
    const { classifyImage: outcome } = await withRetries(retryForMs, signal, () =>
      transport.execute(SubmitDocument, variables, {
        signal: patient.signal,
        file: { name: 'image', blob: image },
      }),
    );
    if (outcome.__typename === 'Prediction') return outcome.id;
    const argument = outcome.__typename === 'InvalidInputError' ? (outcome.argument ?? undefined) : undefined;
    throw errorOfCode(outcome.code, outcome.message, { argument });
  } finally {
    patient.stop();
  }
}

async function sayFarewell(transport: Transport, id: string): Promise<void> {
  const variables = { id, ...selectFields({}) };
  // A server that is gone cannot be told.
  await transport.execute(CancelDocument, variables, { signal: AbortSignal.timeout(FAREWELL_MS) }).catch(() => {});
}

function requireSuccess(prediction: Prediction | undefined): SucceededPrediction {
  switch (prediction?.status) {
    case 'SUCCEEDED':
      return prediction as SucceededPrediction;
    case 'CANCELED':
      throw new InferqlError('CANCELED', 'The prediction was cancelled.', { prediction });
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
function delayAbort(signal: AbortSignal | undefined, delayMs: number): { signal: AbortSignal; stop(): void } {
  const controller = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const begin = () => {
    timer = setTimeout(() => controller.abort(signal?.reason), delayMs);
  };
  signal?.addEventListener('abort', begin, { once: true });
  return {
    signal: controller.signal,
    stop: () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', begin);
    },
  };
}
