/** Values that name other machines: origins of web pages, trusted proxies. */
import { BlockList, isIP } from 'node:net';
import { OFF, ON, type ValueType } from './value-types.ts';

/** Which peers are trusted: none, all, or those of a list. */
export type TrustProxy = boolean | BlockList;

type Network = [address: string, prefix: number];

const LOOPBACK: Network[] = [
  ['127.0.0.0', 8],
  ['::1', 128],
];
const PRIVATE: Network[] = [...LOOPBACK, ['10.0.0.0', 8], ['172.16.0.0', 12], ['192.168.0.0', 16], ['fc00::', 7]];

/** Whether only programs on this machine can reach the address; another name than `localhost` may lead anywhere. */
export function isLoopback(host: string): boolean {
  const address = host.replace(/^\[|\]$/g, '');
  return host === 'localhost' || address === '::1' || (isIP(address) === 4 && address.startsWith('127.'));
}

/** `off`, `on`, or a list of addresses, networks (`10.0.0.0/8`) and the words `loopback` and `private`. */
export const trustedProxies: ValueType<TrustProxy> = {
  expected:
    "on, off, or addresses, networks such as 10.0.0.0/8 and the words 'loopback' and 'private', separated by commas",
  parse(value) {
    const lower = value.toLowerCase();
    if (OFF.includes(lower)) return false;
    if (ON.includes(lower)) return true;
    const networks = lower.split(',').flatMap((item) => parseNetworks(item.trim()) ?? [undefined]);
    const known = networks.filter((network) => network !== undefined);
    if (known.length < networks.length) return undefined;
    const list = new BlockList();
    for (const [address, prefix] of known) list.addSubnet(address, prefix, isIP(address) === 6 ? 'ipv6' : 'ipv4');
    return list;
  },
};

function parseNetworks(item: string): Network[] | undefined {
  if (item === 'loopback') return LOOPBACK;
  if (item === 'private') return PRIVATE;
  const [address = '', prefix, ...rest] = item.split('/');
  const family = isIP(address);
  const most = family === 6 ? 128 : 32;
  if (family === 0 || rest.length > 0 || (prefix !== undefined && !/^\d{1,3}$/.test(prefix))) return undefined;
  const bits = prefix === undefined ? most : Number(prefix);
  return bits <= most ? [[address, bits]] : undefined;
}

/** Origins as browsers send them: scheme, host, and the port unless it is the scheme's default. A slash at the end is removed. */
export const origins: ValueType<string[]> = {
  expected: 'origins such as https://app.example.com or http://localhost:5173, separated by commas, or *',
  parse(value) {
    const items = value.split(',').flatMap((part) => part.trim() || []);
    const parsed = items.map(parseOrigin);
    return parsed.every((origin) => origin !== undefined) ? parsed : undefined;
  },
};

function parseOrigin(item: string): string | undefined {
  if (item === '*') return item;
  if (!URL.canParse(item)) return undefined;
  const { protocol, origin, pathname, search, hash, username, password } = new URL(item);
  // The URL class knows the origin only of web schemes; browser extensions and apps have others.
  if (protocol === 'http:' || protocol === 'https:') {
    return pathname === '/' && !search && !hash && !username && !password ? origin : undefined;
  }
  return /^[a-z][a-z0-9+.-]*:\/\/[^/?#]+$/i.test(item) ? item : undefined;
}

/** A host that an operator lists. */
export interface AllowedHost {
  /** As `URL` writes it: lower case, IPv6 in brackets. `*.example.org` is every subdomain. */
  host: string;
  /** Undefined: the default ports, 80 and 443. */
  port: string | undefined;
}

const HOST = /^(\[[0-9a-f:.]+\]|(?:\*\.)?[^\s:/?#@*[\]]+)(?::(\d{1,5}))?$/i;

/** Hosts, each with a port if it is not 80 or 443. */
export const hosts: ValueType<AllowedHost[]> = {
  expected: 'hosts such as images.example.org, *.example.org or 10.0.0.5:9000, separated by commas',
  parse(value) {
    const items = value.split(',').flatMap((part) => part.trim() || []);
    const parsed = items.map(parseHost);
    return parsed.every((host) => host !== undefined) ? parsed : undefined;
  },
};

function parseHost(item: string): AllowedHost | undefined {
  const [, host = '', port] = HOST.exec(item) ?? [];
  if (!host || Number(port) > 65_535 || !URL.canParse(`http://${host}`)) return undefined;
  return { host: new URL(`http://${host}`).hostname, port: port && String(Number(port)) };
}
