/**
 * All error codes of InferQL, in one table: how each is delivered, whether a retry can help, and the HTTP status if the response
 * carries no data. Messages are written here, so that no exception's text reaches a caller.
 */

/**
 * How an error reaches the caller: `member` of a result union, a GraphQL `error` with `extensions.code`, or part of the `state` of a
 * prediction that ended without a result.
 */
export type ErrorDelivery = 'member' | 'error' | 'state';

interface ErrorRule {
  delivery: ErrorDelivery;
  /** Whether the same request can succeed when it is sent again unchanged. */
  retryable: boolean;
  /** HTTP status when the response carries no data. */
  httpStatus: number;
  message: string;
}

export const ERRORS = {
  EMPTY: { delivery: 'member', retryable: false, httpStatus: 200, message: 'The file is empty.' },
  TOO_LARGE: {
    delivery: 'member',
    retryable: false,
    httpStatus: 200,
    message: 'The file is larger than this server accepts.',
  },
  TOO_MANY_PIXELS: {
    delivery: 'member',
    retryable: false,
    httpStatus: 200,
    message: 'The image has more pixels than this server accepts.',
  },
  TOO_COMPLEX: {
    delivery: 'member',
    retryable: false,
    httpStatus: 200,
    message: 'Decoding the image would take more work than this server allows.',
  },
  UNSUPPORTED_FORMAT: {
    delivery: 'member',
    retryable: false,
    httpStatus: 200,
    message: 'The file is not an image in a supported format (JPEG, PNG, WebP, GIF, AVIF, TIFF, BMP, ICO).',
  },
  CORRUPT: { delivery: 'member', retryable: false, httpStatus: 200, message: 'The image is damaged or truncated.' },
  IMAGE_URL_REFUSED: {
    delivery: 'member',
    retryable: false,
    httpStatus: 200,
    message: 'This server does not read images from this URL.',
  },
  IMAGE_URL_FAILED: {
    delivery: 'member',
    retryable: true,
    httpStatus: 200,
    message:
      "The image could not be read from its URL: the URL's server did not respond in time, or did not return a file.",
  },
  MODEL_NOT_FOUND: {
    delivery: 'member',
    retryable: false,
    httpStatus: 200,
    message: 'There is no model with that name.',
  },
  INVALID_INPUT: { delivery: 'member', retryable: false, httpStatus: 200, message: 'An argument is out of range.' },
  IDEMPOTENCY_KEY_REUSED: {
    delivery: 'member',
    retryable: false,
    httpStatus: 200,
    message: 'This idempotencyKey was used for another image or other options.',
  },
  HEATMAP_UNAVAILABLE: {
    delivery: 'member',
    retryable: false,
    httpStatus: 200,
    message: 'This model cannot produce heatmaps, or none was requested when the image was sent.',
  },
  OUTPUT_UNAVAILABLE: {
    delivery: 'member',
    retryable: false,
    httpStatus: 200,
    message: 'This model has no output of that name and type.',
  },
  UNAUTHENTICATED: {
    delivery: 'error',
    retryable: false,
    httpStatus: 401,
    message: 'This server requires an API key or a token: `Authorization: Bearer KEY`.',
  },
  FORBIDDEN: {
    delivery: 'error',
    retryable: false,
    httpStatus: 403,
    message: 'This API key or token does not have the scope for this operation.',
  },
  NOT_FOUND: {
    delivery: 'error',
    retryable: false,
    httpStatus: 200,
    message: 'There is no prediction with that id, or it ended long ago.',
  },
  QUEUE_FULL: {
    delivery: 'error',
    retryable: true,
    httpStatus: 503,
    message: 'The queue is full. Try again a little later.',
  },
  UNAVAILABLE: {
    delivery: 'error',
    retryable: true,
    httpStatus: 503,
    message: 'The service cannot accept this now. Try again a little later.',
  },
  DEADLINE_UNREACHABLE: {
    delivery: 'error',
    retryable: true,
    httpStatus: 503,
    message: 'The queue is too long for this timeoutMs. Try again a little later, or with a longer timeoutMs.',
  },
  RATE_LIMITED: {
    delivery: 'error',
    retryable: true,
    httpStatus: 429,
    message: 'Too many requests. Try again a little later.',
  },
  BAD_REQUEST: {
    delivery: 'error',
    retryable: false,
    httpStatus: 400,
    message: 'The request is malformed.',
  },
  CSRF_HEADER_MISSING: {
    delivery: 'error',
    retryable: false,
    httpStatus: 403,
    message: 'Mutations and uploads need the header x-graphql-yoga-csrf, with any value.',
  },
  REQUEST_TIMEOUT: {
    delivery: 'error',
    retryable: true,
    httpStatus: 408,
    message: 'The request did not arrive in time. Send it again.',
  },
  REQUEST_TOO_LARGE: {
    delivery: 'error',
    retryable: false,
    httpStatus: 413,
    message: 'The request is larger than this server accepts.',
  },
  UNSUPPORTED_MEDIA_TYPE: {
    delivery: 'error',
    retryable: false,
    httpStatus: 415,
    message: 'The request body has a content type or encoding that this server does not support.',
  },
  INTERNAL_SERVER_ERROR: { delivery: 'error', retryable: true, httpStatus: 500, message: 'Unexpected error.' },
  MODEL_FAILED: {
    delivery: 'state',
    retryable: true,
    httpStatus: 200,
    message: 'The model could not process this image.',
  },
  ENGINE_CRASHED: {
    delivery: 'state',
    retryable: true,
    httpStatus: 200,
    message: 'The engine crashed while it processed this image.',
  },
  ENGINE_TIMEOUT: {
    delivery: 'state',
    retryable: true,
    httpStatus: 200,
    message: 'The engine exceeded its time limit.',
  },
  WORKER_LOST: {
    delivery: 'state',
    retryable: true,
    httpStatus: 200,
    message: 'Every worker that processed this image was lost.',
  },
  VERSION_RETIRED: {
    delivery: 'state',
    retryable: true,
    httpStatus: 200,
    message: 'The model was replaced by a version that prepares images differently. Send it again.',
  },
  UNREADABLE_JOB: {
    delivery: 'state',
    retryable: false,
    httpStatus: 200,
    message: 'The queued job could not be read.',
  },
  DEADLINE_EXCEEDED: {
    delivery: 'state',
    retryable: true,
    httpStatus: 200,
    message: 'The prediction did not end within its timeoutMs.',
  },
} as const satisfies Record<string, ErrorRule>;

export type ErrorCode = keyof typeof ERRORS;

export const ERROR_CODES = Object.keys(ERRORS) as ErrorCode[];

/** An error with a code of the table. `cause` is only logged, never sent to a caller. */
export class InferqlError extends Error {
  readonly code: ErrorCode;
  /** When a retry makes sense, in milliseconds from now. */
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, options: { message?: string; retryAfterMs?: number; cause?: unknown } = {}) {
    super(options.message ?? ERRORS[code].message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'InferqlError';
    this.code = code;
    this.retryAfterMs = options.retryAfterMs;
  }

  /** GraphQL copies these into the error that it makes of an exception. */
  get extensions(): { code: ErrorCode; retryAfterMs?: number } {
    const { code, retryAfterMs } = this;
    return retryAfterMs === undefined ? { code } : { code, retryAfterMs };
  }
}
