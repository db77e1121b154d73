/** Predictions without HTTP and GraphQL, for host applications. */
import { DEFAULT_TOP_K, type PredictionState, Priority } from '@inferql/queue/contract';
import { COUNT } from '@inferql/settings/option-expectations';
import type { Principal } from '../access/principal.ts';
import { errorOf } from '../predictions/prediction-error.ts';
import type { Services } from '../resolver-services.ts';
import { fileFromBytes } from '../uploads/file-from-bytes.ts';
import {
  checkFields,
  describe as describeValue,
  type Expectations,
  isFilledString,
  isObject,
} from './option-checks.ts';
import type { PredictionEvent, SubmitOptions } from './types.ts';

/** What is expected of each option. Ranges are checked where requests are. */
const EXPECTED: Expectations<SubmitOptions> = {
  model: ['the name of a model', isFilledString],
  topK: COUNT,
  priority: [Priority.options.join(', '), (value) => Priority.safeParse(value).success],
  timeoutMs: COUNT,
  idempotencyKey: ['a string', isFilledString],
  caller: ['an object with a tenant', isObject],
  signal: ['an AbortSignal', (value) => value instanceof AbortSignal],
};

/** @throws TypeError that names the option and what was expected */
export function checkSubmission(image: unknown, options: unknown): void {
  if (!(image instanceof Uint8Array)) {
    throw new TypeError(
      `submit: the image is ${describeValue(image)}. Expected the bytes of its file, a Uint8Array or Buffer.`,
    );
  }
  if (!isObject(options))
    throw new TypeError(`submit: expected an object of options, found ${describeValue(options)}.`);
  checkFields('submit', '', options, EXPECTED);
}

/**
 * Submits an image and yields its prediction's states: the current one, then each change, ending with the terminal one.
 * @throws InferqlError of a `member` code (the image, an option), RATE_LIMITED, QUEUE_FULL or UNAVAILABLE; the signal's reason
 */
export async function* followSubmission(
  services: Services,
  image: Uint8Array,
  caller: Principal,
  options: SubmitOptions,
): AsyncGenerator<PredictionEvent, void, undefined> {
  const { signal, topK = DEFAULT_TOP_K } = options;
  signal?.throwIfAborted();
  const { state } = await services.submit({
    image: fileFromBytes(image),
    model: options.model,
    topK,
    priority: options.priority ?? 'NORMAL',
    timeoutMs: options.timeoutMs,
    idempotencyKey: options.idempotencyKey,
    place: undefined,
    heatmap: false,
    labels: topK,
    wait: 'none',
    caller,
    signal,
  });
  const states = (await services.followSubmitted(caller, state.id))[Symbol.asyncIterator]();
  const onAbort = () => void states.return?.();
  signal?.addEventListener('abort', onAbort, { once: true });
  try {
    if (signal?.aborted) onAbort();
    for (let next = await states.next(); !next.done; next = await states.next()) {
      yield describe(next.value.state, next.value.position, topK);
    }
    if (signal?.aborted) {
      await services.cancelPrediction(caller, state.id);
      signal.throwIfAborted();
    }
  } finally {
    signal?.removeEventListener('abort', onAbort);
    await states.return?.();
  }
}

function describe(state: PredictionState, position: number | undefined, topK: number): PredictionEvent {
  const { id, model, version, status, attempts, cached, result } = state;
  return {
    id,
    model,
    version,
    status,
    queuePosition: position,
    result: result && { labels: result.labels.slice(0, topK) },
    error: errorOf(state),
    attempts,
    cached,
  };
}
