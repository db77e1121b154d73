/**
 * All error codes of InferQL, in one table: how each is delivered, whether a retry can help, and the HTTP status if the response
 * carries no data. Messages are written here, so that no exception's text reaches a caller.
 */

/**
 * How an error is delivered: `caller` errors are members of a result union, `retry` errors are GraphQL errors with
 * `extensions.code`, `later` errors are data: the `error` of a prediction that ended without a result.
 */
export type ErrorTier = 'caller' | 'retry' | 'later';

interface ErrorRule {
  tier: ErrorTier;
  /** Whether the same request can succeed when it is sent again unchanged. */
  retryable: boolean;
  /** HTTP status when the response carries no data. */
  httpStatus: number;
  message: string;
}

export const ERRORS = {
  EMPTY: { tier: 'caller', retryable: false, httpStatus: 200, message: 'The file is empty.' },
  TOO_LARGE: {
    tier: 'caller',
    retryable: false,
    httpStatus: 200,
    message: 'The file is larger than this server accepts.',
  },
  TOO_MANY_PIXELS: {
    tier: 'caller',
    retryable: false,
    httpStatus: 200,
    message: 'The image has more pixels than this server accepts.',
  },
  TOO_COMPLEX: {
    tier: 'caller',
    retryable: false,
    httpStatus: 200,
    message: 'The image takes more work to decode than this server accepts.',
  },
  UNSUPPORTED_FORMAT: {
    tier: 'caller',
    retryable: false,
    httpStatus: 200,
    message: 'This is not an image in a supported format (JPEG, PNG, WebP, GIF, AVIF, TIFF, BMP, ICO).',
  },
  CORRUPT: { tier: 'caller', retryable: false, httpStatus: 200, message: 'The image is damaged or cut short.' },
  MODEL_NOT_FOUND: { tier: 'caller', retryable: false, httpStatus: 200, message: 'There is no model of that name.' },
  INVALID_INPUT: { tier: 'caller', retryable: false, httpStatus: 200, message: 'An argument is out of its range.' },
  IDEMPOTENCY_KEY_REUSED: {
    tier: 'caller',
    retryable: false,
    httpStatus: 200,
    message: 'This idempotencyKey was used for another image or other options.',
  },
  HEATMAP_UNAVAILABLE: {
    tier: 'caller',
    retryable: false,
    httpStatus: 200,
    message: 'This model has no heatmap, or none was asked for when the image was sent.',
  },
  UNAUTHENTICATED: {
    tier: 'retry',
    retryable: false,
    httpStatus: 401,
    message: 'This server asks for an API key or a token: `Authorization: Bearer KEY`.',
  },
  FORBIDDEN: {
    tier: 'retry',
    retryable: false,
    httpStatus: 403,
    message: 'This API key or token does not have the scope for this.',
  },
  NOT_FOUND: {
    tier: 'retry',
    retryable: false,
    httpStatus: 200,
    message: 'There is no prediction with that id, or it ended long ago.',
  },
  QUEUE_FULL: {
    tier: 'retry',
    retryable: true,
    httpStatus: 503,
    message: 'The queue is full. Try again a little later.',
  },
  UNAVAILABLE: {
    tier: 'retry',
    retryable: true,
    httpStatus: 503,
    message: 'The service cannot take this now. Try again a little later.',
  },
  DEADLINE_UNREACHABLE: {
    tier: 'retry',
    retryable: true,
    httpStatus: 503,
    message: 'The queue is too long for this timeoutMs. Try again a little later, or with more time.',
  },
  RATE_LIMITED: {
    tier: 'retry',
    retryable: true,
    httpStatus: 429,
    message: 'Too many requests. Try again a little later.',
  },
  BAD_REQUEST: {
    tier: 'retry',
    retryable: false,
    httpStatus: 400,
    message: 'The request is not one that this server understands.',
  },
  CSRF_HEADER_MISSING: {
    tier: 'retry',
    retryable: false,
    httpStatus: 403,
    message: 'Mutations and uploads need the header x-graphql-yoga-csrf, with any value.',
  },
  REQUEST_TIMEOUT: {
    tier: 'retry',
    retryable: true,
    httpStatus: 408,
    message: 'The request did not come in time. Send it again.',
  },
  REQUEST_TOO_LARGE: {
    tier: 'retry',
    retryable: false,
    httpStatus: 413,
    message: 'The request is larger than this server accepts.',
  },
  UNSUPPORTED_MEDIA_TYPE: {
    tier: 'retry',
    retryable: false,
    httpStatus: 415,
    message: 'The body of the request has a type or an encoding that this server does not read.',
  },
  INTERNAL_SERVER_ERROR: { tier: 'retry', retryable: true, httpStatus: 500, message: 'Unexpected error.' },
  MODEL_FAILED: { tier: 'later', retryable: true, httpStatus: 200, message: 'The model could not process this image.' },
  ENGINE_CRASHED: {
    tier: 'later',
    retryable: true,
    httpStatus: 200,
    message: 'The engine stopped while it processed this image.',
  },
  ENGINE_TIMEOUT: {
    tier: 'later',
    retryable: true,
    httpStatus: 200,
    message: 'The engine did not answer in its time limit.',
  },
  WORKER_LOST: {
    tier: 'later',
    retryable: true,
    httpStatus: 200,
    message: 'Each worker that processed this image was lost.',
  },
  VERSION_RETIRED: {
    tier: 'later',
    retryable: true,
    httpStatus: 200,
    message: 'The model was replaced by a version that needs other images. Send it again.',
  },
  UNREADABLE_JOB: { tier: 'later', retryable: false, httpStatus: 200, message: 'The queued work could not be read.' },
  DEADLINE_EXCEEDED: {
    tier: 'later',
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
}
