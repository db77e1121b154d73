import type { Caller, PredictionState } from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/errors';

/** What `beforeAdmit` is given. */
export interface AdmissionRequest {
  /** The file as it was sent. */
  image: Buffer;
  /** The model that was asked for; undefined: the default model. */
  model: string | undefined;
  caller: Pick<Caller, 'tenant'>;
}

/** What `beforeAdmit` may answer: nothing to let it pass, another model, or a refusal in words for the caller. */
export type AdmissionDecision = undefined | { model: string } | { refuse: string };

export interface Hooks {
  /** Called once per image, after it has arrived and before it is decoded. */
  beforeAdmit?(request: AdmissionRequest): AdmissionDecision | undefined | Promise<AdmissionDecision | undefined>;
  /** Called once for each prediction that this instance accepted, with its terminal state. What it throws is logged. */
  onSettled?(prediction: PredictionState): unknown;
}

/**
 * Asks the hook of a host application about an image.
 * @returns the model to use
 * @throws InferqlError INVALID_INPUT with the hook's words; what the hook throws
 */
export async function applyBeforeAdmit(
  beforeAdmit: NonNullable<Hooks['beforeAdmit']>,
  request: AdmissionRequest,
): Promise<string | undefined> {
  const decision = await beforeAdmit(request);
  if (!decision) return request.model;
  if ('refuse' in decision) throw new InferqlError('INVALID_INPUT', { message: decision.refuse });
  return decision.model;
}

export type SettledNotifier = ReturnType<typeof createSettledNotifier>;

/** The predictions whose end a host application is to hear of. */
export function createSettledNotifier(hooks: Hooks, onFailure: (error: unknown) => void) {
  const accepted = new Set<string>();

  async function notify(state: PredictionState): Promise<void> {
    try {
      await hooks.onSettled?.(state);
    } catch (error) {
      onFailure(error);
    }
  }

  return {
    /** To be called before an admission: its end may arrive before its reply. */
    expect(id: string): void {
      if (hooks.onSettled) accepted.add(id);
    },

    /** To be called if the admission failed, or gave another prediction. */
    forget(id: string): void {
      accepted.delete(id);
    },

    /** Takes every state that this server hears of. */
    onState(state: PredictionState): void {
      if (state.finishedAtMs !== undefined && accepted.delete(state.id)) void notify(state);
    },

    isInterested: () => accepted.size > 0,
  };
}
