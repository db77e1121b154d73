/** Which URLs the server may read images from. */
import { isIP } from 'node:net';
import { InferqlError } from '@inferql/queue/error-codes';
import type { AllowedHost } from '@inferql/settings/origins-and-proxies';
import { isPublicAddress } from './public-address.ts';

export interface UrlRules {
  /** `https`: every public host, by HTTPS; `allowlist`: the hosts of a list, by HTTP and HTTPS. */
  imageUrls: 'off' | 'https' | 'allowlist';
  imageUrlHosts: readonly AllowedHost[];
}

/** A URL that may be requested. */
export interface AllowedUrl {
  url: URL;
  /** The operator named this host: its address may be private. */
  mayBePrivate: boolean;
}

const MAX_URL_LENGTH = 2_048;
const DEFAULT_PORTS: Record<string, string> = { 'http:': '80', 'https:': '443' };

/**
 * Decides from the URL's text alone; the addresses of a public host's name are checked when it is connected.
 * @throws InferqlError IMAGE_URL_REFUSED that says what is allowed
 */
export function checkUrl(text: string, { imageUrls, imageUrlHosts }: UrlRules): AllowedUrl {
  if (imageUrls === 'off') {
    throw refuse('This server does not read images from URLs. Send the image as a file.');
  }
  if (text.length > MAX_URL_LENGTH) throw refuse(`The URL has more than ${MAX_URL_LENGTH} characters.`);
  if (!URL.canParse(text)) throw refuse('This is not an absolute URL such as https://example.org/cat.jpg.');
  const url = new URL(text);
  if (url.protocol !== 'https:' && (url.protocol !== 'http:' || imageUrls === 'https')) {
    throw refuse(
      imageUrls === 'https' ? 'The URL must begin with https://.' : 'The URL must begin with https:// or http://.',
    );
  }
  if (url.username || url.password) throw refuse('The URL must not contain a user name or password.');
  const port = url.port || DEFAULT_PORTS[url.protocol]!;
  if (imageUrls === 'allowlist') {
    const matching = imageUrlHosts.filter((allowed) => matches(allowed, url.hostname, port));
    if (matching.length === 0) throw refuse('This server reads images only from hosts that its operator has listed.');
    // The order of the list does not matter: a host may be listed, and be a subdomain of a listed domain.
    return { url, mayBePrivate: matching.some(({ host }) => !host.startsWith('*.')) };
  }
  if (port !== DEFAULT_PORTS[url.protocol]) throw refuse('The URL must not contain a port.');
  // A name is resolved when it is connected, but for an address nothing is looked up.
  const address = url.hostname.replace(/^\[|\]$/g, '');
  if (isIP(address) && !isPublicAddress(address)) throw refuseHost();
  return { url, mayBePrivate: false };
}

function matches(allowed: AllowedHost, hostname: string, port: string): boolean {
  if (allowed.port === undefined ? !Object.values(DEFAULT_PORTS).includes(port) : allowed.port !== port) return false;
  return allowed.host.startsWith('*.') ? hostname.endsWith(allowed.host.slice(1)) : hostname === allowed.host;
}

/** The same for private hosts and those that do not exist, so that nobody can explore a private network by it. */
export function refuseHost(): InferqlError {
  return refuse("The URL's host has no public address.");
}

function refuse(message: string): InferqlError {
  return new InferqlError('IMAGE_URL_REFUSED', { message });
}
