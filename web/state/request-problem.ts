import { InferqlError } from '@inferql/client';

/** What went wrong with a request: a code of the API, or of the page if something else answered. */
export interface Problem {
  code: string;
  message: string;
}

/** Reads the code of an error. */
export function readProblem(error: unknown): Problem {
  if (!(error instanceof InferqlError)) return { code: 'INTERNAL_SERVER_ERROR', message: '' };
  const { code, message, httpStatus } = error;
  if (httpStatus !== undefined) return readForeignAnswer(httpStatus);
  return { code: code === 'UNREADABLE_FILE' ? 'FILE_CHANGED' : code, message };
}

/** The meaning of a response that is not from InferQL: from a proxy or a sign-in page. */
function readForeignAnswer(status: number): Problem {
  const message = `A proxy between this page and the server responded with HTTP ${status}.`;
  switch (status) {
    case 401:
    case 407:
      return { code: 'SIGN_IN', message };
    case 408:
      return { code: 'REQUEST_TIMEOUT', message };
    case 413:
      return { code: 'REQUEST_TOO_LARGE', message };
    case 429:
      return { code: 'RATE_LIMITED', message };
    default:
      if (status >= 500) return { code: 'GATEWAY', message };
      return { code: status >= 400 ? 'BLOCKED' : 'FOREIGN_ANSWER', message };
  }
}

const PASSING_CODES = ['UNREACHABLE', 'GATEWAY', 'FOREIGN_ANSWER', 'UNAVAILABLE', 'REQUEST_TIMEOUT'];

/** Whether the same request can succeed later, without anyone changing it. */
export function isPassing({ code }: Problem): boolean {
  return isQueueing({ code }) || PASSING_CODES.includes(code);
}

/** Whether the server works and only asks to wait: there is no reason to give up. */
export function isQueueing({ code }: Pick<Problem, 'code'>): boolean {
  return ['QUEUE_FULL', 'DEADLINE_UNREACHABLE', 'RATE_LIMITED'].includes(code);
}
