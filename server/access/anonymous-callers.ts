/** Callers of a server that does not identify them. Their addresses distinguish them. */
import { isIP } from 'node:net';
import type { LimitRules } from '@inferql/queue/access/rate-limiter';
import { ANONYMOUS, type Principal } from './principal.ts';

/** A random text that the client generates. It separates the client's idempotency keys from those of other anonymous clients. */
export const CLIENT_ID_HEADER = 'x-inferql-client';

/**
 * @param address the client's; empty if it is not known
 * @param clientId the value of `CLIENT_ID_HEADER`
 * @param rules the limits of each address
 */
export function describeAnonymous(address: string, clientId: string | undefined, rules: LimitRules): Principal {
  return {
    ...ANONYMOUS,
    bucket: address ? `address:${networkOf(address)}` : ANONYMOUS.bucket,
    rules,
    idempotencyScope: clientId ? `client ${clientId}` : `address ${address}`,
  };
}

/** One client has a whole /64 of IPv6. */
function networkOf(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/, '');
  if (isIP(plain) !== 6) return plain;
  const [head = '', tail] = plain.replace(/%.*$/, '').split('::');
  const groups = head.split(':').filter(Boolean);
  const missing = tail === undefined ? 0 : 8 - groups.length - tail.split(':').filter(Boolean).length;
  const whole = [...groups, ...Array<string>(missing).fill('0'), ...(tail ?? '').split(':').filter(Boolean)];
  return whole
    .slice(0, 4)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':');
}
