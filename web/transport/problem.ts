import type { CombinedError } from '@urql/core';

/** What went wrong with a request, in the words of the API. `UNREACHABLE` is the page's own: no answer came at all. */
export interface Problem {
  code: string;
  message: string;
  /** The server's wish for how long to wait before the next try, in milliseconds. */
  retryAfterMs?: number;
}

/** Takes the code and the wish to wait out of an error of the GraphQL client. */
export function readProblem(error: CombinedError): Problem {
  const [first] = error.graphQLErrors;
  if (!first) return { code: 'UNREACHABLE', message: 'The server does not answer.' };
  const { code, retryAfterMs } = first.extensions;
  return {
    code: typeof code === 'string' ? code : 'INTERNAL_SERVER_ERROR',
    message: first.message,
    ...(typeof retryAfterMs === 'number' && { retryAfterMs }),
  };
}

/** Whether the same request can succeed later, without anyone changing it. */
export function isPassing({ code }: Problem): boolean {
  return ['UNREACHABLE', 'UNAVAILABLE', 'QUEUE_FULL', 'DEADLINE_UNREACHABLE', 'RATE_LIMITED'].includes(code);
}
