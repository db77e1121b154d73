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

/** An entry of `X-Forwarded-For`: some proxies add the port. Undefined if it is not an address. */
function readHop(text: string): string | undefined {
  const hop = text.trim();
  const address = /^\[(.*)\](?::\d+)?$/.exec(hop)?.[1] ?? /^([\d.]+):\d+$/.exec(hop)?.[1] ?? hop;
  return isIP(address) === 0 ? undefined : address;
}

/**
 * The client's address: the last in `X-Forwarded-For` that is not a trusted proxy's, as everything before it may be made up. If
 * the peer is not trusted, the peer's address. With `on`, the first of the list. What is before an unreadable entry is ignored: a
 * proxy may have written that entry for a client that wrote the rest.
 */
export function clientAddress({ headers, socket }: IncomingMessage, trust: TrustProxy): string {
  const peer = socket.remoteAddress ?? '';
  if (!isTrusted(trust, peer)) return peer;
  const header = headers['x-forwarded-for'];
  const entries = (Array.isArray(header) ? header.join(',') : (header ?? '')).split(',').map(readHop);
  const hops = entries.slice(entries.lastIndexOf(undefined) + 1) as string[];
  return hops.findLast((hop) => !isTrusted(trust, hop)) ?? hops[0] ?? peer;
}
