import type { PredictionState } from '@inferql/queue/contract';
import { ERRORS, type ErrorCode } from '@inferql/queue/error-codes';

/** Why a prediction has no result; undefined while it is open, and if it succeeded or was canceled. */
export function errorOf({
  errorCode,
  status,
}: Pick<PredictionState, 'errorCode' | 'status'>): { code: ErrorCode; message: string } | undefined {
  // A newer release may have written a code that this one does not know.
  const code =
    errorCode ?? (status === 'EXPIRED' ? 'DEADLINE_EXCEEDED' : status === 'FAILED' ? 'MODEL_FAILED' : undefined);
  return code && { code, message: ERRORS[code].message };
}
