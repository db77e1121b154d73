/** What no answer may be, whatever was asked. */
import type { Exchange, HttpAnswer, HttpCase } from './exchange.ts';

/** The only statuses of the 500 class, each with its codes: what time will fix. */
const TYPED: Record<number, readonly string[]> = {
  503: ['UNAVAILABLE', 'QUEUE_FULL', 'DEADLINE_UNREACHABLE'],
  504: ['UNAVAILABLE'],
};
const LEAKS: [string, RegExp][] = [
  ['a stack', /\n\s+at .+[:(]\d+|\\n\s+at .+:\d+/],
  ['a path', /node_modules|file:\/\/\/|\/(?:home|root|usr|tmp|work|var)\/[\w.-]+|\.[jt]s:\d+/],
  ['an address of Redis', /redis:\/\/|ECONNREFUSED|\b(?:WRONGTYPE|NOSCRIPT|ERR [a-z])/],
];
const HEADERS = ['x-content-type-options', 'referrer-policy', 'x-frame-options'];

/** A verdict; those that are faults begin with `FAULT`. */
export function judgeExchange(httpCase: HttpCase, found: Exchange): string {
  if ('end' in found) {
    if (found.end === 'hung') return 'FAULT: hung';
    return httpCase.isWhole ? 'FAULT: closed without an answer' : 'closed';
  }
  return judgeAnswer(found.answer) ?? `answered ${found.answer.status}`;
}

function judgeAnswer({ status, headers, body }: HttpAnswer): string | undefined {
  if (!(status >= 100 && status < 600)) return 'FAULT: no HTTP answer';
  if (status === 101) return undefined;
  const fault = findLeak(body);
  if (fault) return fault;
  for (const name of HEADERS) if (!headers.has(name)) return `FAULT: ${status} without ${name}`;
  if (headers.has('x-injected')) return 'FAULT: a header was injected';
  const type = headers.get('content-type');
  if (body && !type) return 'FAULT: a body without a content type';
  if (status >= 500 && !TYPED[status]?.some((code) => body.includes(`"${code}"`))) return `FAULT: ${status}`;
  if (!type || !body) return undefined;
  if (/json\b/.test(type)) return judgeJson(body);
  if (type.startsWith('text/event-stream')) {
    const isStream = body.split('\n').every((line) => /^(?::|event:|data:|id:|[0-9a-f]+\r?$|\r?$)/.test(line));
    return isStream ? undefined : 'FAULT: no event stream';
  }
  if (type.startsWith('multipart/mixed')) return body.includes('---') ? undefined : 'FAULT: no multipart';
  return /^\s*[[{]/.test(body) ? `FAULT: JSON sent as ${type}` : undefined;
}

function judgeJson(body: string): string | undefined {
  try {
    const value: unknown = JSON.parse(body);
    const isResult =
      typeof value === 'object' && value !== null && ('data' in value || 'errors' in value || 'status' in value);
    return isResult ? undefined : 'FAULT: not a GraphQL result';
  } catch {
    return 'FAULT: not JSON';
  }
}

/** Anything in a text that only the server's log may contain. */
export function findLeak(text: string): string | undefined {
  if (/INTERNAL_SERVER_ERROR|Unexpected error/.test(text) && !/__type|enumValues/.test(text))
    return 'FAULT: an unexpected error';
  for (const [name, pattern] of LEAKS) if (pattern.test(text)) return `FAULT: leaks ${name}`;
  return undefined;
}

/** A line of the server's or worker's log that hostile input must not cause. */
export function isFaultInLog(line: string): boolean {
  try {
    const { level } = JSON.parse(line) as { level?: number };
    return level === undefined || level >= 50;
  } catch {
    return line.trim() !== '';
  }
}
