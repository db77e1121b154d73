import type { ModelErrorCode } from '../errors.ts';
import type { PreparedStamp } from '../prepared-model.ts';

export interface ConversionFailure {
  /** A ModelError's, or the system's; none for a fault of the converter. */
  code?: ModelErrorCode | string;
  isModelError: boolean;
  message: string;
  stack?: string | undefined;
}

/** What the process answers to a conversion, once. Node's own modules may send other messages. */
export type FromConversion =
  | { type: 'converted'; stamp: PreparedStamp }
  | { type: 'failed'; failure: ConversionFailure };
