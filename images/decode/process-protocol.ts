import type { ServedModel } from '@inferql/queue/contract';
import type { ErrorCode } from '@inferql/queue/errors';

/** What a decoder's process is sent: one image at a time. */
export interface DecodeRequest {
  id: number;
  file: Uint8Array;
  input: ServedModel['input'];
}

/** Its first message: it has loaded its code. */
export type Ready = 'ready';

/** What it answers. */
export type DecodeAnswer = { id: number; rssBytes: number } & (
  | { pixels: Uint8Array }
  | { error: { code: ErrorCode; message: string; retryAfterMs: number | undefined } }
);
