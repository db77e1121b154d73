/** Hooks of a host application around a prediction. */
import type { Caller, PredictionState } from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/error-codes';

/** The argument of `beforeAdmit`. */
export interface AdmissionRequest {
  /** The file as it was sent. */
  image: Buffer;
  /** The model that was asked for; undefined: the default model. */
  model: string | undefined;
  caller: Pick<Caller, 'tenant'>;
}

/** What `beforeAdmit` may return: nothing to accept the image, another model, or a refusal with a reason for the caller. */
export type AdmissionDecision = undefined | { model: string } | { refuse: string };

export interface Hooks {
  /** Called once per image, after it has arrived and before it is decoded. */
  beforeAdmit?(request: AdmissionRequest): AdmissionDecision | undefined | Promise<AdmissionDecision | undefined>;
  /** Called once per prediction that this instance accepted, with its terminal state. Errors that it throws are logged. */
  onSettled?(prediction: PredictionState): unknown;
}

/**
 * Calls the host application's hook for an image.
 * @returns the model to use
 * @throws InferqlError INVALID_INPUT with the hook's reason; TypeError if it returned something else; whatever the hook throws
 */
export async function applyBeforeAdmit(
  beforeAdmit: NonNullable<Hooks['beforeAdmit']>,
  request: AdmissionRequest,
): Promise<string | undefined> {
  const decision = await beforeAdmit(request);
  if (!decision) return request.model;
  // Hosts may be JavaScript: an image is not admitted because a refusal was misspelled.
  const { refuse, model } = decision as { refuse?: unknown; model?: unknown };
  if (typeof refuse === 'string') throw new InferqlError('INVALID_INPUT', { message: refuse });
  if (typeof model === 'string') return model;
  throw new TypeError("hooks.beforeAdmit: expected { refuse: 'reason' }, { model: 'name' } or nothing");
}

export type SettledNotifier = ReturnType<typeof createSettledNotifier>;

/** Of more predictions, the end of the oldest is not reported: an event may have been lost, and nothing else would remove them. */
const MAX_EXPECTED = 100_000;

/** Tracks the predictions that this server accepted and whose end is reported: to the host application, to the metrics. */
export function createSettledNotifier(
  listeners: readonly ((state: PredictionState) => unknown)[],
  onFailure: (error: unknown) => void,
) {
  const accepted = new Set<string>();

  async function notify(state: PredictionState): Promise<void> {
    for (const listener of listeners) {
      try {
        await listener(state);
      } catch (error) {
        onFailure(error);
      }
    }
  }

  return {
    /** Call it before an admission: the end may arrive before the reply. */
    expect(id: string): void {
      if (listeners.length === 0) return;
      accepted.add(id);
      // The oldest comes first.
      if (accepted.size > MAX_EXPECTED) for (const oldest of accepted) return void accepted.delete(oldest);
    },

    /** Call it if the admission failed, or gave another prediction. */
    forget(id: string): void {
      accepted.delete(id);
    },

    /** Call it with every state that this server receives. */
    onState(state: PredictionState): void {
      if (state.finishedAtMs !== undefined && accepted.delete(state.id)) void notify(state);
    },

    isInterested: () => accepted.size > 0,
  };
}
