/** The time limit of the requests that find out why a request failed. */
const PROBE_MS = 5_000;

/**
 * Whether a request failed because the server does not allow this page's origin (CORS). Browsers hide this from the page: the request fails as if
 * the server were down. But a request whose response the page may not read (`no-cors`) succeeds if the server is up.
 * @returns the page's origin, or undefined if there was another reason, or this is not a page
 */
export async function findRefusedOrigin(url: URL, fetch: typeof globalThis.fetch): Promise<string | undefined> {
  const page = (globalThis as { location?: { origin?: string } }).location?.origin;
  if (!page || page === url.origin) return undefined;
  const ask = (mode: 'cors' | 'no-cors') =>
    fetch(url, { method: 'GET', mode, cache: 'no-store', signal: AbortSignal.timeout(PROBE_MS) }).then(
      () => true,
      () => false,
    );
  // The last one shows that the server was not down between the first two.
  const isRefused = (await ask('no-cors')) && !(await ask('cors')) && (await ask('no-cors'));
  return isRefused ? page : undefined;
}
