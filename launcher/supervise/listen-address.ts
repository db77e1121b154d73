/** The address that the server listens on, and its possible problems. */
import { createServer } from 'node:net';
import { SetupError } from '../terminal.ts';

/**
 * Checks an address before slow work, so that nobody waits for minutes in vain.
 * @throws SetupError that says what to do
 */
export async function checkPortIsFree(port: number, host: string): Promise<void> {
  const failure = await findListenFailure(port, host);
  if (failure) throw describeListenFailure(failure, port, host);
}

/** The error of an attempt to listen, if it fails. */
export async function findListenFailure(port: number, host: string): Promise<NodeJS.ErrnoException | undefined> {
  const probe = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      probe.once('error', reject);
      probe.listen({ port, host, exclusive: true }, resolve);
    });
  } catch (error) {
    return error as NodeJS.ErrnoException;
  }
  await new Promise((resolve) => probe.close(resolve));
  return undefined;
}

/** Explains a failed attempt to listen to the user. */
export function describeListenFailure(
  { code, message }: { code?: string | undefined; message: string },
  port: number,
  host: string,
): SetupError {
  switch (code) {
    case 'EADDRINUSE':
      return new SetupError(
        `Port ${port} on ${host} is taken by another program. Stop that program, or choose another port: PORT=${port === 65_535 ? 4000 : port + 1}`,
      );
    case 'EACCES':
      return new SetupError(`This user is not allowed to open port ${port}. Choose one above 1023.`);
    case 'EADDRNOTAVAIL':
    case 'ENOTFOUND':
      return new SetupError(
        `HOST is '${host}', which is not an address of this machine. Set it to one, such as 127.0.0.1.`,
      );
    default:
      return new SetupError(`The server cannot listen on ${host}:${port}: ${message}`);
  }
}
