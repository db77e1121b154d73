/** Callers of a server that does not identify them. Their addresses distinguish them. */
import type { LimitRules } from '@inferql/queue/access/rate-limiter';
import { networkOf } from './address-network.ts';
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
