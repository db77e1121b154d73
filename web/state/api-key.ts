const KEY = 'inferql.key';

/** The API key of this tab; it is gone when the tab is closed. */
export function readApiKey(): string | undefined {
  try {
    return sessionStorage.getItem(KEY) ?? undefined;
  } catch {
    return undefined;
  }
}

/** @param key undefined: forgets it */
export function keepApiKey(key: string | undefined): void {
  try {
    if (key === undefined) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, key);
  } catch {
    // Without storage the server asks again after a reload.
  }
}

export const UNSENDABLE_KEY = 'This key has characters that no key can have.';

/** Whether a header can have the key: one that was copied from a document may have a curly quote. */
export function isSendable(key: string): boolean {
  try {
    return new Headers({ authorization: `Bearer ${key}` }).has('authorization');
  } catch {
    return false;
  }
}

/** What the page does: it sends photos, and reads predictions, models and queues. */
const NEEDED_SCOPES = ['INFER', 'READ'];
const CHECK_TIMEOUT_MS = 20_000;

/**
 * Asks the server about a key.
 * @param timeoutMs how long it may take to answer
 * @returns why it is refused, or why the page cannot use it; undefined if it is good
 */
export async function findRefusal(
  origin: string,
  key: string,
  timeoutMs: number = CHECK_TIMEOUT_MS,
): Promise<string | undefined> {
  if (!isSendable(key)) return UNSENDABLE_KEY;
  try {
    const response = await fetch(`${origin}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json', authorization: `Bearer ${key}` },
      body: JSON.stringify({ query: '{ viewer { scopes } }' }),
      signal: AbortSignal.timeout(timeoutMs),
    });
    const { data, errors } = (await response.json()) as ViewerAnswer;
    const scopes = data?.viewer?.scopes;
    if (!response.ok || !scopes) return errors?.[0]?.message ?? 'The server rejected this key.';
    const missing = NEEDED_SCOPES.filter((scope) => !scopes.includes(scope)).map((scope) => scope.toLowerCase());
    if (missing.length === 0) return undefined;
    return `This page needs a key with the scopes infer and read. This key does not have ${missing.join(' and ')}.`;
  } catch {
    return 'The server is not responding. Try again.';
  }
}

interface ViewerAnswer {
  data?: { viewer?: { scopes?: string[] } } | null;
  errors?: { message?: string }[];
}
