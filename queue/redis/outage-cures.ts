/** What to do about the errors of connections to Redis. */

const CURES: [pattern: RegExp, cure: string][] = [
  [/^-?NOAUTH/, 'Put its password into REDIS_URL: redis://:PASSWORD@host:port, or redis://USER:PASSWORD@host:port.'],
  [
    /^-?(WRONGPASS|ERR invalid password)/,
    'Check the user and the password in REDIS_URL; percent-encode special characters.',
  ],
  [/^-?ERR AUTH .*without any password/, 'Leave the password out of REDIS_URL, or set one in Redis.'],
  [
    /^-?DENIED/,
    'Redis accepts other machines only with a password: set one in Redis and in REDIS_URL, or run Redis on this machine.',
  ],
  [/^-?NOPERM/, "Give InferQL's Redis user the permissions that docs/redis.md lists."],
  [
    /sentinels.*(NOAUTH|WRONGPASS|NOPERM)/,
    "Put the Sentinels' password at the end of REDIS_URL: ?sentinelPassword=PASSWORD, and &sentinelUsername=USER if they have users.",
  ],
  [/sentinels.*No such master/, 'Put the name of the master as Sentinel knows it at the end of REDIS_URL.'],
  [/^-?MOVED/, 'REDIS_URL names one node of a cluster: write redis+cluster:// instead of redis://.'],
  [/^-?READONLY/, 'REDIS_URL names a replica: use the address of its master, or of Sentinel.'],
  [/^-?ERR max number of clients/, 'Raise maxclients in Redis, or stop other clients.'],
  [
    // Of a path: for an address, a firewall says so.
    /(EACCES|EPERM) \//,
    "This user may not open Redis' socket: set unixsocketperm in Redis, or add the user to the socket's group.",
  ],
  [/ECONNREFUSED|ENOENT/, 'Start Redis there, or correct REDIS_URL.'],
  [/ENOTFOUND|EAI_AGAIN/, 'The name cannot be resolved: correct REDIS_URL.'],
  [/ETIMEDOUT|EHOSTUNREACH|ENETUNREACH/, 'The host does not respond: check the address, and firewalls in between.'],
  [
    /^(self-signed certificate|unable to (get|verify) .*certificate)/,
    'Set NODE_EXTRA_CA_CERTS to a file with the certificate of its authority, in the environment: Node does not read it from .env.',
  ],
  [/certificate|SSL|TLS/i, 'Use rediss:// in REDIS_URL if and only if Redis uses TLS, and check NODE_EXTRA_CA_CERTS.'],
  [/sentinels/, 'Start the Sentinels and their master, or correct the addresses in REDIS_URL.'],
];

/** What to do about a known reason. */
export function findCure(reason: string): string | undefined {
  return CURES.find(([pattern]) => pattern.test(reason))?.[1];
}
