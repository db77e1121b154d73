import type { ServedModel } from '@inferql/queue/contract';
import type { ErrorCode } from '@inferql/queue/error-codes';

/** Request to a decoder process: one image at a time. */
export interface DecodeRequest {
  id: number;
  file: Uint8Array;
  input: ServedModel['input'];
}

/** Its first message: the code is loaded. */
export type Ready = 'ready';

/** Its answer. */
export type DecodeAnswer = { id: number; rssBytes: number } & (
  | { pixels: Uint8Array }
  | { error: { code: ErrorCode; message: string; retryAfterMs: number | undefined } }
);
