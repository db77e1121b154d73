/** The time limit of the requests that find out why a request failed. */
const PROBE_MS = 5_000;

/**
 * Whether a request failed because the server does not allow this page's origin (CORS). Browsers hide that from the page: the request fails like one
 * to a server that is away. But a request whose answer the page may not read succeeds if the server is there.
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
  // The last one shows that the server was not away between the first two.
  const isRefused = (await ask('no-cors')) && !(await ask('cors')) && (await ask('no-cors'));
  return isRefused ? page : undefined;
}
