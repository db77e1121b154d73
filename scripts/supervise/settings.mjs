// The launcher's own settings. Everything else goes to the server and the workers as it is.
import { createServer } from 'node:net';
import { SetupError } from '../setup/screen.mjs';

/** @returns {{ port: number, host: string, workerCount: number, logStyle: 'people' | 'all' | 'json', redisUrl: string | undefined }} */
export function readSettings() {
  const logStyle = process.env.INFERQL_LOG || 'people';
  if (!['people', 'all', 'json'].includes(logStyle)) {
    throw new SetupError(`INFERQL_LOG is '${logStyle}': expected people, all or json.`);
  }
  const host = process.env.HOST || '127.0.0.1';
  if ((process.env.INFERQL_AUTH || 'off') === 'off' && !/^(localhost|\[?::1\]?|127(\.\d{1,3}){3})$/.test(host)) {
    throw new SetupError(
      `HOST is '${host}', which other machines can reach, and INFERQL_AUTH is off.\nSet INFERQL_AUTH=keys, or INFERQL_AUTH=off-and-public if anyone who reaches the port may use everything.`,
    );
  }
  return {
    port: readInteger('PORT', 4000, 0, 65_535),
    host,
    workerCount: readInteger('INFERQL_WORKERS', 1, 0, 64),
    logStyle,
    redisUrl: process.env.REDIS_URL || undefined,
  };
}

function readInteger(name, fallback, least, most) {
  const text = process.env[name];
  if (text === undefined || text === '') return fallback;
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return value;
  throw new SetupError(`${name} is '${text}': expected a whole number from ${least} to ${most}.`);
}

/** Before the slow work, so that nobody waits for minutes to be told that it was in vain. */
export async function checkPortIsFree(port, host) {
  const probe = createServer();
  try {
    await new Promise((resolve, reject) => {
      probe.once('error', reject);
      probe.listen({ port, host, exclusive: true }, resolve);
    });
  } catch (error) {
    throw describeListenFailure(error, port, host);
  }
  await new Promise((resolve) => probe.close(resolve));
}

/** @param {{ code?: string, message: string }} failure */
export function describeListenFailure({ code, message }, port, host) {
  if (code === 'EADDRINUSE') {
    const other = port === 65_535 ? 4000 : port + 1;
    return new SetupError(
      `Port ${port} on ${host} is taken by another program. Stop that one, or choose another port: PORT=${other} npm start`,
    );
  }
  if (code === 'EACCES')
    return new SetupError(`Port ${port} needs rights that this user does not have. Choose one above 1023.`);
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND')
    return new SetupError(`HOST is '${host}', which is no address of this machine.`);
  return new SetupError(`The server cannot listen on ${host}:${port}: ${message}`);
}
