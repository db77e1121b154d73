/** A request for a prediction: its fields, validation and idempotency. */
import { createHash } from 'node:crypto';
import { MAX_LABELS, type Priority, STORED_LABELS } from '@inferql/queue/contract';
import { InferqlError } from '@inferql/queue/error-codes';
import type { Principal } from '../access/principal.ts';
import type { UploadedFile } from '../uploads/uploaded-file.ts';

const MAX_TIMEOUT_MS = 86_400_000;
const MAX_KEY_LENGTH = 200;

/** What a caller sends with an image. */
export interface SubmitRequest {
  image: UploadedFile;
  model: string | undefined;
  topK: number;
  priority: Priority;
  timeoutMs: number | undefined;
  idempotencyKey: string | undefined;
  /** Index of the image in its request: with one key, each image is a separate prediction. */
  place: number | undefined;
  heatmap: boolean;
  /** How many labels to keep with the prediction, if more than by default. */
  labels: number;
  /** `result`: answer once it has ended; `deferred`: answer now and provide the end as a promise; `none`: answer now. */
  wait: 'result' | 'deferred' | 'none';
  caller: Principal;
  /** Aborted when the caller has gone. */
  signal: AbortSignal | undefined;
}

/** Requests of up to the default number of labels share one job. */
export function moreLabels({ labels }: SubmitRequest): { labels?: number } {
  return labels > STORED_LABELS ? { labels: Math.min(labels, MAX_LABELS) } : {};
}

/** What an idempotency key identifies: the file as it was sent, and the options that change its result. */
export function digestContent(file: Buffer, request: SubmitRequest): string {
  const { heatmap } = request;
  return createHash('sha256')
    .update(JSON.stringify({ heatmap, ...moreLabels(request) }))
    .update(file)
    .digest('base64url');
}

/** The request's idempotency key, within its tenant, or within its client if callers are not identified. */
export function describeRequest({ idempotencyKey, place, caller }: SubmitRequest): string | undefined {
  if (idempotencyKey === undefined) return undefined;
  const key = place === undefined ? idempotencyKey : `${idempotencyKey}#${place}`;
  return caller.idempotencyScope === undefined ? key : JSON.stringify([caller.idempotencyScope, key]);
}

/** @throws InvalidArgumentError */
export function checkArguments({ topK, timeoutMs, idempotencyKey }: SubmitRequest): void {
  const refuse = (argument: string, message: string) => {
    throw new InvalidArgumentError(argument, message);
  };
  if (topK < 1 || topK > MAX_LABELS) refuse('topK', `topK must be between 1 and ${MAX_LABELS}.`);
  if (timeoutMs !== undefined && (timeoutMs < 1 || timeoutMs > MAX_TIMEOUT_MS)) {
    refuse('timeoutMs', `timeoutMs must be between 1 and ${MAX_TIMEOUT_MS}.`);
  }
  if (idempotencyKey !== undefined && (idempotencyKey.length < 1 || idempotencyKey.length > MAX_KEY_LENGTH)) {
    refuse('idempotencyKey', `idempotencyKey must have 1 to ${MAX_KEY_LENGTH} characters.`);
  }
}

/** INVALID_INPUT that names the argument. */
export class InvalidArgumentError extends InferqlError {
  readonly argument: string;

  constructor(argument: string, message: string) {
    super('INVALID_INPUT', { message });
    this.argument = argument;
  }
}
