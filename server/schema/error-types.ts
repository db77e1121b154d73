/** Error codes, and the types of errors in result unions. */
import type { ErrorCode } from '@inferql/queue/error-codes';
import { builder } from './builder.ts';

/** A member of a result union. Plain data: an instance of Error would be thrown by the executor. */
export interface CallerError {
  type: 'InvalidImageError' | 'ImageUrlError' | 'ModelNotFoundError' | 'InvalidInputError';
  code: ErrorCode;
  message: string;
  /** The argument that was out of its range. */
  argument?: string | undefined;
}

const DESCRIPTIONS: Record<ErrorCode, string> = {
  EMPTY: 'The file is empty.',
  TOO_LARGE: 'The file is larger than the server accepts (10 MiB by default). The upload was stopped.',
  TOO_MANY_PIXELS: 'The image has more pixels than the server accepts (64 megapixels by default).',
  TOO_COMPLEX:
    'Decoding the image would take more work than the server allows for one image: CPU time, memory, or parts such as scans, tiles and chunks. The message names the exceeded limit.',
  UNSUPPORTED_FORMAT:
    'The file is not a JPEG, PNG, WebP, GIF, AVIF, TIFF, BMP or ICO (or HEIC, if the operator installed its decoder), or it uses a feature of its format that is not supported. The message names the format or feature. SVG is not supported.',
  CORRUPT: 'The file starts like an image, but is damaged or truncated.',
  IMAGE_URL_REFUSED:
    'The server does not read images from this URL: its operator has not allowed it, or its host has no public address. The message says which.',
  IMAGE_URL_FAILED:
    "The image could not be read from its URL: the URL's server did not respond in time, or did not return a file. Trying again may help.",
  MODEL_NOT_FOUND: 'No worker has registered a model of that name.',
  INVALID_INPUT: 'An argument is out of range.',
  IDEMPOTENCY_KEY_REUSED: 'The idempotencyKey was used before, for another image or with other options.',
  HEATMAP_UNAVAILABLE: 'There is no heatmap: the model cannot produce one, or the mutation did not request one.',
  OUTPUT_UNAVAILABLE:
    'The model has no output of that name and type. The message and `Model.outputs` list its outputs.',
  UNAUTHENTICATED:
    'No API key or token was sent, or it is unknown, expired or revoked. HTTP status 401 if the response has no data; a WebSocket is closed with code 4401.',
  FORBIDDEN:
    'The API key or token does not have the scope that this operation needs. HTTP status 403 if the response has no data.',
  NOT_FOUND: 'There is no prediction with that id, or it ended so long ago that it was deleted.',
  QUEUE_FULL:
    'The queue is full. Try again after `extensions.retryAfterMs`. HTTP status 503 if the response has no data.',
  UNAVAILABLE:
    'The service cannot accept work now: Redis does not respond, the model has been without a worker for too long, or the server is shutting down. Try again after `extensions.retryAfterMs`. HTTP status 503 if the response has no data.',
  DEADLINE_UNREACHABLE:
    'At the measured rate, the prediction cannot end within its timeoutMs, and the model is configured to refuse such requests. Try again after `extensions.retryAfterMs`, or with a longer timeoutMs. HTTP status 503 if the response has no data.',
  RATE_LIMITED:
    'A limit or quota of the tenant, the key or the address is used up, or the caller has too many requests open at once. Try again after `extensions.retryAfterMs`. HTTP status 429 if the response has no data; `viewer` shows what is left.',
  BAD_REQUEST:
    'The request is malformed: its body, its variables, its multipart form, its headers or its address. HTTP status 400; 403 for a WebSocket of another origin, 404 for an unknown address, 417 for an unknown `Expect` header, 421 if the Host header names another host, 426 if a proxy removed the `Upgrade` header.',
  CSRF_HEADER_MISSING:
    'A mutation or an upload has none of the headers that prevent other web pages from sending it: `x-graphql-yoga-csrf`, `apollo-require-preflight` or `graphql-require-preflight`. HTTP status 403.',
  REQUEST_TIMEOUT: 'The request body stopped arriving, or arrived at less than 1 KiB per second. HTTP status 408.',
  REQUEST_TOO_LARGE:
    'The request is larger than the server accepts, has too many files, or has too long headers. HTTP status 413 or 431.',
  UNSUPPORTED_MEDIA_TYPE:
    'The request body has a content type or content encoding that the server does not support. HTTP status 415.',
  INTERNAL_SERVER_ERROR: "An error in the server. The details are only in the server's log.",
  MODEL_FAILED: 'The model returned no usable output for this image in any attempt.',
  ENGINE_CRASHED: 'The engine crashed on this image in every attempt.',
  ENGINE_TIMEOUT: 'The engine exceeded its time limit in every attempt.',
  VERSION_RETIRED:
    'While this image waited, the model was replaced by a version that prepares images differently. Send it again.',
  WORKER_LOST: 'Every worker that started on this image was lost.',
  UNREADABLE_JOB: 'The worker could not read the queued job.',
  DEADLINE_EXCEEDED: 'The prediction did not end within its timeoutMs.',
};

export const ErrorCodeEnum = builder.enumType('ErrorCode', {
  description:
    'The codes of all errors: of members of result unions, of `Prediction.error`, and in `extensions.code` of GraphQL errors.',
  values: Object.fromEntries(
    Object.entries(DESCRIPTIONS).map(([code, description]) => [code, { description }]),
  ) as Record<ErrorCode, { description: string }>,
});

export const ErrorInterface = builder.interfaceRef<{ code: ErrorCode; message: string }>('Error').implement({
  description: 'Fields of every error. `message` is for people, `code` for programs.',
  fields: (t) => ({
    code: t.expose('code', { type: ErrorCodeEnum, description: 'The kind of error.' }),
    message: t.exposeString('message', { description: 'A sentence for people, in English.' }),
  }),
});

export const InvalidImageError = builder.objectRef<CallerError>('InvalidImageError').implement({
  description:
    'The file cannot be used: `EMPTY`, `TOO_LARGE`, `TOO_MANY_PIXELS`, `TOO_COMPLEX`, `UNSUPPORTED_FORMAT` or `CORRUPT`. Sending it again unchanged does not help.',
  interfaces: [ErrorInterface],
});

export const ImageUrlError = builder.objectRef<CallerError>('ImageUrlError').implement({
  description:
    'The image at a URL was not read. Trying again may help after `IMAGE_URL_FAILED`, but not after `IMAGE_URL_REFUSED`.',
  interfaces: [ErrorInterface],
});

export const ModelNotFoundError = builder.objectRef<CallerError>('ModelNotFoundError').implement({
  description: 'No model has the given name (`MODEL_NOT_FOUND`). `models` lists the names.',
  interfaces: [ErrorInterface],
});

export const InvalidInputError = builder.objectRef<CallerError>('InvalidInputError').implement({
  description:
    'An argument is out of range (`INVALID_INPUT`), or the idempotencyKey belongs to another request (`IDEMPOTENCY_KEY_REUSED`).',
  interfaces: [ErrorInterface],
  fields: (t) => ({
    argument: t.exposeString('argument', { nullable: true, description: 'The name of the argument, such as `topK`.' }),
  }),
});
