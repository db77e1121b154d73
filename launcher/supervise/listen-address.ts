/** The address that the server listens on, and its possible problems. */
import { createServer } from 'node:net';
import { SetupError } from '../terminal.ts';

const LAST_PORT = 65_535;
/** How many ports after a taken one are tried before one is proposed. */
const PROPOSALS = 50;

/**
 * Checks an address before slow work, so that nobody waits for minutes in vain.
 * @throws SetupError that says what to do
 */
export async function checkPortIsFree(port: number, host: string): Promise<void> {
  const failure = await findListenFailure(port, host);
  if (failure) throw await describeListenFailure(failure, port, host);
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

/** The next port on which a program can listen, or 0, which means any, if all that are tried are taken. */
async function findNextPort(port: number, host: string): Promise<number> {
  const last = Math.min(port + PROPOSALS, LAST_PORT);
  for (let next = port + 1; next <= last; next++) {
    if (!(await findListenFailure(next, host))) return next;
  }
  return 0;
}

/** Explains a failed attempt to listen to the user, and proposes a port that is free if this one is taken. */
export async function describeListenFailure(
  { code, message }: { code?: string | undefined; message: string },
  port: number,
  host: string,
): Promise<SetupError> {
  switch (code) {
    case 'EADDRINUSE':
      return new SetupError(
        `Port ${port} on ${host} is taken by another program. Stop that program, or choose another port: PORT=${await findNextPort(port, host)}`,
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
