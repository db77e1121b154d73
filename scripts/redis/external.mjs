// The Redis that REDIS_URL names: it is somebody else's, so it is only waited for.
import { SetupError, showStep } from '../setup/screen.mjs';
import { askRedis } from './wire.mjs';

const WAIT_MS = Number(process.env.INFERQL_REDIS_WAIT_MS) || 30_000;
// Scripts with flags came with it.
const OLDEST_REDIS = 7;

/**
 * Resolves once it answers.
 * @param {string} url redis:// or rediss:// with user and password; several hosts for redis+cluster:// and redis+sentinel://
 * @throws {SetupError} when it is too old or refuses the login, or does not answer in INFERQL_REDIS_WAIT_MS (default: half a minute)
 */
export async function waitForExternalRedis(url) {
  const { addresses, login, shown } = readAddresses(url);
  let lastFailure = 'no answer';
  const deadline = Date.now() + WAIT_MS;
  await showStep(`Waiting for Redis at ${shown}`, async () => {
    for (;;) {
      for (const address of addresses) {
        try {
          const replies = await askRedis(address, [...login, ['PING'], ['INFO', 'server']], 3_000);
          const refusal = replies.find((reply) => /^-(WRONGPASS|NOAUTH|ERR AUTH|ERR invalid password)/.test(reply));
          if (refusal) throw new SetupError(`Redis at ${shown} refuses the login of REDIS_URL: ${refusal.slice(1)}`);
          const failure = replies.find((reply) => reply.startsWith('-') && !reply.startsWith('-NOPERM'));
          const [pong, info] = replies.slice(-2);
          if (!failure && (pong === 'PONG' || pong.startsWith('-NOPERM'))) {
            checkVersion(info, shown);
            return;
          }
          lastFailure = failure?.slice(1) ?? 'what answers there is no Redis';
        } catch (error) {
          if (error instanceof SetupError) throw error;
          lastFailure = error.message;
        }
      }
      if (Date.now() > deadline) {
        throw new SetupError(
          `Redis at ${shown} (REDIS_URL) does not answer: ${lastFailure}.\nStart it, correct REDIS_URL, or unset it: then npm start runs a Redis of its own.`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 250));
    }
  });
}

function checkVersion(info, shown) {
  const [, version, major] = /^redis_version:((\d+)[^\r\n]*)/m.exec(info) ?? [];
  if (version && Number(major) < OLDEST_REDIS) {
    throw new SetupError(
      `Redis at ${shown} (REDIS_URL) is version ${version}; ${OLDEST_REDIS} or later (or Valkey) is needed.\nName another one, or unset REDIS_URL: then npm start runs a Redis of its own.`,
    );
  }
}

function readAddresses(url) {
  if (url.startsWith('/')) return { addresses: [{ path: url }], login: [], shown: url };
  const match = /^(rediss?)(\+cluster|\+sentinel|s\+cluster|s\+sentinel)?:\/\/(?:([^@/]*)@)?([^/?#]+)/.exec(url);
  if (!match)
    throw new SetupError(
      'REDIS_URL is not an address: expected redis://host:port, rediss://user:password@host:port or the path of a socket.',
    );
  const [, scheme, kind, credentials, hosts] = match;
  const tls = scheme === 'rediss';
  const defaultPort = kind?.includes('sentinel') ? 26_379 : 6_379;
  const addresses = hosts.split(',').map((host) => {
    const [, name, port] = /^(\[[^\]]+\]|[^:]*)(?::(\d+))?$/.exec(host) ?? [];
    if (!name) throw new SetupError(`REDIS_URL names no host in '${host}'.`);
    return { host: name.replace(/^\[|\]$/g, ''), port: Number(port ?? defaultPort), tls };
  });
  return { addresses, login: kind?.includes('sentinel') ? [] : readLogin(credentials), shown: hosts };
}

function readLogin(credentials) {
  if (!credentials) return [];
  const [user, password] = credentials.includes(':') ? splitOnce(credentials, ':') : ['', credentials];
  return [['AUTH', ...[user, password].filter(Boolean).map(decodeURIComponent)]];
}

function splitOnce(text, separator) {
  const at = text.indexOf(separator);
  return [text.slice(0, at), text.slice(at + 1)];
}
