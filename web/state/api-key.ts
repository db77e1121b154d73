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

/**
 * Asks the server about a key.
 * @returns why it is refused, or undefined if it is valid
 */
export async function findRefusal(origin: string, key: string): Promise<string | undefined> {
  try {
    const response = await fetch(`${origin}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', accept: 'application/json', authorization: `Bearer ${key}` },
      body: JSON.stringify({ query: '{ viewer { tenant } }' }),
    });
    if (response.ok) return undefined;
    const answer = (await response.json()) as { errors?: { message?: string }[] };
    return answer.errors?.[0]?.message ?? 'The server rejected this key.';
  } catch {
    return 'The server is not responding.';
  }
}
