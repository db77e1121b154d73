import { isSendable, keepApiKey, readApiKey, UNSENDABLE_KEY } from '../state/api-key.ts';

/**
 * A `fetch` that sends the API key of this tab, unless the editor for headers has one. Asks for a key if the server requires one, and once
 * for each key that lacks a scope.
 * @param askForKey asks the person; gets the reason if they gave one that is not good enough. Returns undefined if they have no other key
 */
export function createKeyFetch(
  plainFetch: typeof fetch,
  askForKey: (reason: string | undefined) => string | undefined,
): typeof fetch {
  /** Keys that lack a scope, and that the person continues to use. */
  const keptKeys = new Set<string>();
  const send = (input: Parameters<typeof fetch>[0], init: RequestInit | undefined, key: string | undefined) => {
    if (key === undefined) return plainFetch(input, init);
    const headers = new Headers(init?.headers ?? (input instanceof Request ? input.headers : undefined));
    headers.set('authorization', `Bearer ${key}`);
    return plainFetch(input, { ...init, headers });
  };
  const askForSendableKey = (reason: string | undefined) => {
    let key = askForKey(reason);
    while (key !== undefined && !isSendable(key)) key = askForKey(UNSENDABLE_KEY);
    return key;
  };
  return async (input, init) => {
    if (new Headers(init?.headers).has('authorization')) return plainFetch(input, init);
    const key = readApiKey();
    const response = await send(input, init, key);
    // Without a key, the server knows its callers in another way, which no key changes.
    const missingScope = key === undefined ? undefined : await readMissingScope(response);
    if (response.status !== 401 && missingScope === undefined) return response;
    // Requests that are refused at the same time ask once.
    const present = readApiKey();
    const isKept = missingScope !== undefined && keptKeys.has(key!);
    const next = present !== key ? present : isKept ? undefined : askForSendableKey(missingScope);
    if (missingScope !== undefined && (next === undefined || next === key)) keptKeys.add(key!);
    if (next === undefined) return response;
    keepApiKey(next);
    return send(input, init, next);
  };
}

/** The server's message, if it refused an operation because the key may not run it. */
async function readMissingScope(response: Response): Promise<string | undefined> {
  if (response.status !== 403) return undefined;
  try {
    const { errors } = (await response.clone().json()) as {
      errors?: { message?: string; extensions?: { code?: string } }[];
    };
    return errors?.find(({ extensions }) => extensions?.code === 'FORBIDDEN')?.message;
  } catch {
    // A proxy's page.
    return undefined;
  }
}
