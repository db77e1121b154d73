/** Which other origins' pages may use the API: over HTTP (CORS), and over WebSockets, to which CORS does not apply. */
import type { IncomingMessage } from 'node:http';
import type { TrustProxy } from '@inferql/settings/origins-and-proxies';
import { CLIENT_ID_HEADER } from '../../access/anonymous-callers.ts';
import { CSRF_HEADERS } from './csrf.ts';
import { isTrusted, requestedHost } from './proxy.ts';

export function corsOptions(origins: string[]) {
  return {
    origin: origins.includes('*') ? '*' : origins,
    credentials: !origins.includes('*'),
    methods: ['GET', 'POST', 'OPTIONS'],
    allowedHeaders: ['content-type', 'accept', 'authorization', CLIENT_ID_HEADER, ...CSRF_HEADERS],
    exposedHeaders: ['retry-after', 'ratelimit', 'ratelimit-policy', 'server-timing'],
    maxAge: 600,
  };
}

/**
 * Whether a browser's page may open a WebSocket. Browsers send the page's origin in `Origin`; other programs need not, and no page can
 * act through them. Allowed are the server's page and the origins that may use the API.
 */
export function isAllowedOrigin(request: IncomingMessage, corsOrigins: string[], trust: TrustProxy): boolean {
  const { origin } = request.headers;
  if (origin === undefined || corsOrigins.includes('*') || corsOrigins.includes(origin)) return true;
  // No page can write this header. Behind a proxy that passes another Host it still shows that page and server have one origin.
  if (request.headers['sec-fetch-site'] === 'same-origin') return true;
  if (!URL.canParse(origin)) return false;
  const page = new URL(origin);
  const host = requestedHost(request, trust)?.toLowerCase();
  if (host === page.host) return true;
  // `proxy_set_header Host $host` omits the port.
  return isTrusted(trust, request.socket.remoteAddress) && host === page.hostname;
}
