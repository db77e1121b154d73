import { keepApiKey, readApiKey } from '../state/api-key.ts';

/**
 * A `fetch` that sends the API key of this tab, unless the editor for headers has one, and asks for it if the server requires one.
 * @param askForKey asks the person; undefined if they have none
 */
export function createKeyFetch(plainFetch: typeof fetch, askForKey: () => string | undefined): typeof fetch {
  const send = (input: Parameters<typeof fetch>[0], init: RequestInit | undefined, key: string | undefined) => {
    if (key === undefined) return plainFetch(input, init);
    const headers = new Headers(init?.headers ?? (input instanceof Request ? input.headers : undefined));
    headers.set('authorization', `Bearer ${key}`);
    return plainFetch(input, { ...init, headers });
  };
  return async (input, init) => {
    if (new Headers(init?.headers).has('authorization')) return plainFetch(input, init);
    const key = readApiKey();
    const response = await send(input, init, key);
    if (response.status !== 401) return response;
    // Requests that are refused at the same time ask once.
    const present = readApiKey();
    const next = present === key ? askForKey() : present;
    if (next === undefined) return response;
    keepApiKey(next);
    return send(input, init, next);
  };
}
