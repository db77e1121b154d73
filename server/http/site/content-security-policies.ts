/** The Content-Security-Policy of each page that the server serves. */

/** Only scripts and styles of this server; images are shown from memory (blob:), heatmaps from data URIs. */
export const PAGE_POLICY =
  "default-src 'self'; img-src 'self' blob: data:; style-src 'self' 'unsafe-inline'; connect-src 'self' ws: wss:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'";

/** GraphiQL: only what the page needs. Its editor sets styles from its script; everything else is a file of this server. */
export const GRAPHIQL_POLICY =
  "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self' 'unsafe-inline'; font-src 'self' data:; img-src 'self' data: blob:; connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'";

/** The page of an unknown address has a style and nothing else. */
export const NOT_FOUND_POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'";
