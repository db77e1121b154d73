/** HTTP statuses of responses that do not come from the API, such as a proxy's: the error of each, and when to try again. */
import { InferqlError } from '../errors.ts';

/** The meaning of a response that is not GraphQL, for example from a proxy. errors.ts says which codes are retried: of these 408, 429, 500 and above. */
export function errorOfStatus(response: Response): InferqlError {
  const { status } = response;
  const details = { httpStatus: status, retryAfterMs: readRetryAfter(response) };
  const answerer = `A proxy between this client and the server answered with HTTP ${status}`;
  switch (status) {
    case 401:
    case 407:
      return new InferqlError('UNAUTHENTICATED', `${answerer}: it asks for a sign-in.`, details);
    case 403:
      return new InferqlError('FORBIDDEN', `${answerer}: it refuses the request.`, details);
    case 408:
      return new InferqlError('REQUEST_TIMEOUT', `${answerer}: the request took too long to arrive.`, details);
    case 413:
      return new InferqlError('REQUEST_TOO_LARGE', `${answerer}: the request is too large.`, details);
    case 429:
      return new InferqlError('RATE_LIMITED', `${answerer}: there are too many requests.`, details);
    default:
      if (status >= 500) return new InferqlError('UNAVAILABLE', `${answerer}: the server cannot be reached.`, details);
      return new InferqlError(
        'BAD_RESPONSE',
        `Unexpected response (HTTP ${status}): this URL does not serve the InferQL API.`,
        details,
      );
  }
}

/** The milliseconds of a Retry-After header, which may be in seconds or a date; undefined if there is none. */
export function readRetryAfter(response: Response): number | undefined {
  const text = response.headers.get('retry-after');
  if (!text) return undefined;
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}
