import ipaddr from 'ipaddr.js';

/** The first bits of every global IPv6 address, 2000::/3. */
const GLOBAL_IPV6_PREFIX = 0b001;

/**
 * Whether an IP address belongs to the public internet: not to this machine, a private network, a link, a tunnel or a translation of one of
 * these. Whatever is not known to be public is not.
 */
export function isPublicAddress(address: string): boolean {
  // `parse` reads forms that no resolver returns, such as octal numbers.
  if (!ipaddr.IPv4.isValidFourPartDecimal(address) && !ipaddr.IPv6.isValid(address)) return false;
  const parsed = ipaddr.process(address);
  if (parsed.range() !== 'unicast') return false;
  return parsed instanceof ipaddr.IPv4 || parsed.parts[0]! >>> 13 === GLOBAL_IPV6_PREFIX;
}
