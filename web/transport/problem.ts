import type { CombinedError } from '@urql/core';

/** What went wrong with a request: a code of the API, or of the page ({@link readForeignAnswer}). */
export interface Problem {
  code: string;
  message: string;
  /** How long the server asks to wait before the next attempt, in milliseconds. */
  retryAfterMs?: number;
}

/** Reads the code and the waiting time from an error of the GraphQL client. */
export function readProblem({
  graphQLErrors: [first],
  response,
}: Pick<CombinedError, 'graphQLErrors' | 'response'>): Problem {
  if (!first) return readForeignAnswer(response as Response | undefined);
  const { code, retryAfterMs } = first.extensions;
  return {
    code: typeof code === 'string' ? code : 'INTERNAL_SERVER_ERROR',
    message: first.message,
    ...(typeof retryAfterMs === 'number' && { retryAfterMs }),
  };
}

/** The meaning of an answer that is not from InferQL: from a proxy, a sign-in page, or none at all. */
function readForeignAnswer(response: Response | undefined): Problem {
  if (!response?.status) return { code: 'UNREACHABLE', message: 'The server does not answer.' };
  const { status } = response;
  const message = `Something between this page and the server answered with HTTP ${status}.`;
  const seconds = Number(response.headers.get('retry-after') ?? Number.NaN);
  const wish = Number.isFinite(seconds) ? { retryAfterMs: Math.min(60_000, Math.max(0, seconds * 1_000)) } : {};
  switch (status) {
    case 401:
    case 407:
      return { code: 'SIGN_IN', message };
    case 413:
      return { code: 'REQUEST_TOO_LARGE', message };
    case 429:
      return { code: 'RATE_LIMITED', message, ...wish };
    default:
      if (status >= 500) return { code: 'GATEWAY', message, ...wish };
      return { code: status >= 400 ? 'BLOCKED' : 'FOREIGN_ANSWER', message };
  }
}

/** Whether the same request can succeed later, without anyone changing it. */
export function isPassing({ code }: Problem): boolean {
  return isQueueing({ code }) || ['UNREACHABLE', 'GATEWAY', 'FOREIGN_ANSWER', 'UNAVAILABLE'].includes(code);
}

/** Whether the server works and only asks to wait: there is no reason to give up. */
export function isQueueing({ code }: Pick<Problem, 'code'>): boolean {
  return ['QUEUE_FULL', 'DEADLINE_UNREACHABLE', 'RATE_LIMITED'].includes(code);
}
