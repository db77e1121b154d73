/** Answers of a GraphQL endpoint, or of a proxy that answers instead. */
import { errorOfCode, InferqlError } from '../errors.ts';
import { errorOfStatus, readRetryAfter } from './foreign-responses.ts';

/** A GraphQL response, before it is checked. */
export interface Answer {
  data?: unknown;
  incremental?: { data?: unknown }[];
  errors?: { message?: unknown; path?: unknown; extensions?: { code?: unknown; retryAfterMs?: unknown } }[];
}

/** @returns undefined if the text is not a JSON object */
export function parseAnswer(text: string): Answer | undefined {
  try {
    const answer: unknown = JSON.parse(text);
    return typeof answer === 'object' && answer !== null ? answer : undefined;
  } catch {
    return undefined;
  }
}

/**
 * Returns the data of an answer.
 * @param response what the answer came with; undefined for a message of a WebSocket
 * @throws InferqlError the answer's first error, or what the status means if the answer is not of this API
 */
export function readData<Data>(answer: Answer | undefined, response?: Response): Data {
  const error = Array.isArray(answer?.errors) ? answer.errors[0] : undefined;
  if (error) throw readError(error, response);
  if (answer?.data && (response?.ok ?? true)) return answer.data as Data;
  if (!response) throw new InferqlError('BAD_RESPONSE', 'The server sent a message that does not belong to this API.');
  throw errorOfStatus(response);
}

/** The InferqlError of one GraphQL error. */
export function readError(error: NonNullable<Answer['errors']>[number], response?: Response): InferqlError {
  const { code, retryAfterMs } = error?.extensions ?? {};
  return errorOfCode(
    code,
    typeof error?.message === 'string' ? error.message : 'The server returned an error without a message.',
    {
      retryAfterMs: typeof retryAfterMs === 'number' ? retryAfterMs : response && readRetryAfter(response),
    },
  );
}
