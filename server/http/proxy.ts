/** What a reverse proxy says about the client's request, if the operator trusts it. */
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import type { TrustProxy } from '@inferql/settings/network-types';

function isTrusted(trust: TrustProxy, address: string | undefined): boolean {
  if (typeof trust === 'boolean') return trust;
  const plain = (address ?? '').replace(/^::ffff:(?=\d+\.)/, '');
  const family = isIP(plain);
  return family !== 0 && trust.check(plain, family === 6 ? 'ipv6' : 'ipv4');
}

/** A header's first value: the one that the proxy nearest to the client wrote. */
function firstOf(value: string | string[] | undefined): string | undefined {
  const text = Array.isArray(value) ? value[0] : value;
  return text?.split(',')[0]?.trim() || undefined;
}

/** The host that the client asked for, with its port unless it is the scheme's default. */
export function requestedHost({ headers, socket }: IncomingMessage, trust: TrustProxy): string | undefined {
  const forwarded = isTrusted(trust, socket.remoteAddress) ? firstOf(headers['x-forwarded-host']) : undefined;
  return forwarded ?? headers.host;
}

/**
 * The client's address: the last in `X-Forwarded-For` that is not a trusted proxy's, as everything before it may be made up. If
 * the peer is not trusted, the peer's address. With `on`, the first of the list.
 */
export function clientAddress({ headers, socket }: IncomingMessage, trust: TrustProxy): string {
  const peer = socket.remoteAddress ?? '';
  if (!isTrusted(trust, peer)) return peer;
  const header = headers['x-forwarded-for'];
  const hops = (Array.isArray(header) ? header.join(',') : (header ?? ''))
    .split(',')
    .map((hop) => hop.trim().replace(/^\[|\](:\d+)?$/g, ''))
    .filter((hop) => isIP(hop) !== 0);
  if (trust === true) return hops[0] ?? peer;
  return hops.findLast((hop) => !isTrusted(trust, hop)) ?? hops[0] ?? peer;
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
