import { promises as dns, type LookupAddress } from 'node:dns';
import { isIP, type LookupFunction } from 'node:net';
import { isPublicAddress } from './public-address.ts';
import { refuseHost } from './url-rules.ts';

const DNS_MS = 2_000;

/**
 * Resolves a name for the connection that is made right after it, so that no second answer can lead elsewhere. A name with any address that is
 * not public is refused, and so is one without any. The system's resolver would also use threads that decode images.
 */
export function createPublicLookup(nameServers: readonly string[] | undefined): LookupFunction {
  const resolver = new dns.Resolver({ timeout: DNS_MS, tries: 2 });
  if (nameServers) resolver.setServers(nameServers);
  const resolve = async (hostname: string): Promise<LookupAddress[]> => {
    const answers = await Promise.allSettled([resolver.resolve4(hostname), resolver.resolve6(hostname)]);
    const addresses = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []));
    if (addresses.length === 0 || !addresses.every(isPublicAddress)) throw refuseHost();
    return addresses.map((address) => ({ address, family: isIP(address) }));
  };
  return (hostname, options, callback) => {
    resolve(hostname).then(
      (addresses) =>
        options.all ? callback(null, addresses) : callback(null, addresses[0]!.address, addresses[0]!.family),
      (error: Error) => callback(error, '', 0),
    );
  };
}
