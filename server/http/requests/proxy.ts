/** Reads what a trusted reverse proxy reports about the client's request. */
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import type { TrustProxy } from '@inferql/settings/origins-and-proxies';

/** Whether the operator trusts the peer with this address as a proxy. */
export function isTrusted(trust: TrustProxy, address: string | undefined): boolean {
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
