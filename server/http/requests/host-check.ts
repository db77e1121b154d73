/** Checks the `Host` header and the request target, against DNS rebinding and malformed requests. */
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { isLoopback } from '@inferql/settings/origins-and-proxies';
import type { Config } from '../../config.ts';
import { requestedHost } from './proxy.ts';

/** A name, an IPv4 address or an IPv6 address in brackets, and perhaps a port. */
const HOST = /^(?:\[[0-9a-f:.]+\]|[a-z0-9_](?:[a-z0-9._-]{0,252}))(?::\d{1,5})?$/i;
/** A path, without characters that a URL never contains unescaped. */
const PATH = /^\/[^\s#]*$/;

/** The answers to the requests that `findHostProblem` refuses. */
export const HOST_ANSWERS = {
  malformed: {
    status: 400,
    code: 'BAD_REQUEST',
    message: 'The request has no valid host or path: check the Host header and the URL.',
  },
  foreign: {
    status: 421,
    code: 'BAD_REQUEST',
    message:
      'This server does not accept the name in the Host header. Add it to INFERQL_ALLOWED_HOSTS; behind a proxy, see also INFERQL_TRUST_PROXY.',
  },
} as const;

type Settings = Pick<Config, 'host' | 'allowedHosts' | 'trustProxy'>;

/** Why a request cannot be routed: its `Host` or its target is invalid, or not a name of this server. */
export function findHostProblem(request: IncomingMessage, settings: Settings): 'malformed' | 'foreign' | undefined {
  const { host } = request.headers;
  if (host === undefined ? request.httpVersion !== '1.0' : !HOST.test(host)) return 'malformed';
  // Node takes the first of several; a proxy in front may have decided by another.
  if (countHosts(request.rawHeaders) > 1) return 'malformed';
  if (!PATH.test(request.url ?? '')) return 'malformed';
  return isOwnHost(requestedHost(request, settings.trustProxy), settings) ? undefined : 'foreign';
}

function countHosts(rawHeaders: readonly string[]): number {
  return rawHeaders.filter((text, index) => index % 2 === 0 && text.toLowerCase() === 'host').length;
}

/**
 * A server that only its machine can reach refuses other names than the machine's: a web page could resolve its name to
 * 127.0.0.1 (DNS rebinding), and would then have this server's origin in the browser. Names without a dot cannot be registered.
 */
function isOwnHost(host: string | undefined, { host: listensOn, allowedHosts, trustProxy }: Settings): boolean {
  if (host === undefined || allowedHosts.includes('*')) return true;
  const name = host.replace(/:\d+$/, '').toLowerCase().replace(/\.$/, '');
  if (allowedHosts.some((allowed) => allowed.toLowerCase() === name)) return true;
  if (isIP(name.replace(/^\[|\]$/g, '')) !== 0 || !name.includes('.') || name.endsWith('.localhost')) return true;
  return allowedHosts.length === 0 && (trustProxy !== false || !isLoopback(listensOn));
}
