import type { ModelErrorCode } from '../errors.ts';
import type { PreparedStamp } from '../prepared-model.ts';

/** What the process answers to a conversion, once. An error without a code is a fault of the converter. */
export type FromConversion = { stamp: PreparedStamp } | { error: { code?: ModelErrorCode; message: string } };
