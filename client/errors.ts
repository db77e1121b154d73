import type { Prediction } from './answers/answer-types.ts';
import type { ErrorCode as SchemaErrorCode } from './generated/graphql.ts';

/** The server's error codes, and whether sending the same request again can help. */
const SERVER_CODES = {
  EMPTY: false,
  TOO_LARGE: false,
  TOO_MANY_PIXELS: false,
  TOO_COMPLEX: false,
  UNSUPPORTED_FORMAT: false,
  CORRUPT: false,
  IMAGE_URL_REFUSED: false,
  IMAGE_URL_FAILED: true,
  MODEL_NOT_FOUND: false,
  INVALID_INPUT: false,
  IDEMPOTENCY_KEY_REUSED: false,
  HEATMAP_UNAVAILABLE: false,
  OUTPUT_UNAVAILABLE: false,
  UNAUTHENTICATED: false,
  FORBIDDEN: false,
  NOT_FOUND: false,
  QUEUE_FULL: true,
  UNAVAILABLE: true,
  DEADLINE_UNREACHABLE: true,
  RATE_LIMITED: true,
  BAD_REQUEST: false,
  CSRF_HEADER_MISSING: false,
  REQUEST_TIMEOUT: true,
  REQUEST_TOO_LARGE: false,
  UNSUPPORTED_MEDIA_TYPE: false,
  INTERNAL_SERVER_ERROR: true,
  MODEL_FAILED: true,
  ENGINE_CRASHED: true,
  ENGINE_TIMEOUT: true,
  VERSION_RETIRED: true,
  WORKER_LOST: true,
  UNREADABLE_JOB: false,
  DEADLINE_EXCEEDED: true,
} as const satisfies Record<SchemaErrorCode, boolean>;

/** The client's error codes. */
const CLIENT_CODES = {
  /** No server answered, or the connection was lost. */
  UNREACHABLE: true,
  /** The prediction was canceled. */
  CANCELED: true,
  /** The file cannot be read here. */
  UNREADABLE_FILE: false,
  /** The response does not come from this API; `httpStatus` is its status. */
  BAD_RESPONSE: false,
} as const;

const CODES: Record<ErrorCode, boolean> = { ...SERVER_CODES, ...CLIENT_CODES };

export type ServerErrorCode = keyof typeof SERVER_CODES;
export type ErrorCode = ServerErrorCode | keyof typeof CLIENT_CODES;

export interface InferqlErrorDetails {
  retryAfterMs?: number | undefined;
  argument?: string | undefined;
  prediction?: Prediction | undefined;
  httpStatus?: number | undefined;
  cause?: unknown;
}

/**
 * Every error that this client throws, except the reason of an aborted signal and the errors of your own functions (`key`, `headers`, and the
 * source of images), which are thrown unchanged.
 * @example
 * try {
 *   await client.classify(file);
 * } catch (error) {
 *   if (error instanceof InferqlError && error.code === 'TOO_LARGE') showHint(error.message);
 *   else throw error;
 * }
 */
export class InferqlError extends Error {
  override readonly name = 'InferqlError';
  readonly code: ErrorCode;
  /** Whether the same request can succeed later. */
  readonly retryable: boolean;
  /** When the server recommends a retry, in milliseconds from now. */
  readonly retryAfterMs: number | undefined;
  /** The argument that was out of its range. */
  readonly argument: string | undefined;
  /** The last state of the prediction, if there is one. */
  readonly prediction: Prediction | undefined;
  /**
   * The idempotency key with which `classify` or `submit` sent the image. The server may have accepted it although the response was lost:
   * call again with this key, and the image is not accepted twice.
   */
  readonly idempotencyKey: string | undefined = undefined;
  /** The HTTP status of a response that is not from the server but, for example, from a proxy or a sign-in page. */
  readonly httpStatus: number | undefined;

  constructor(code: ErrorCode, message: string, details: InferqlErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.retryable = CODES[code];
    this.retryAfterMs = details.retryAfterMs;
    this.argument = details.argument;
    this.prediction = details.prediction;
    this.httpStatus = details.httpStatus;
  }
}

/** An error from a received code; an unknown code becomes BAD_RESPONSE. */
export function errorOfCode(code: unknown, message: string, details?: InferqlErrorDetails): InferqlError {
  const known = typeof code === 'string' && Object.hasOwn(SERVER_CODES, code);
  return new InferqlError(known ? (code as ServerErrorCode) : 'BAD_RESPONSE', message, details);
}
