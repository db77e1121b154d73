import { type Client, createClient, InferqlError, type NodeImageInput } from '@inferql/client/node';
import { CommandFailure, EXIT } from './exit-codes.ts';
import { findRunningUrl } from './running-url.ts';
import { createScreen, type Screen } from './terminal-output.ts';
import { hidePassword, safeText } from './terminal-text.ts';

/** The context of every command. */
export interface CommandContext {
  stdin: NodeJS.ReadStream;
  stdout: NodeJS.WriteStream;
  env: NodeJS.ProcessEnv;
  screen: Screen;
  /** The API key for the server, if one was given. */
  key: string | undefined;
  /** Aborted by Ctrl-C and SIGTERM. */
  signal: AbortSignal;
  /** For a command that handles these signals itself: they no longer abort it. */
  releaseSignals(): void;
}

/** How long to wait for a server that went down during work, in milliseconds. */
const RETRY_FOR_MS = 60_000;

export function createContext(signal: AbortSignal, releaseSignals: () => void): CommandContext {
  const { stdin, stdout, stderr, env } = process;
  return {
    stdin,
    stdout,
    env,
    signal,
    releaseSignals,
    key: undefined,
    screen: createScreen(stdout, stderr),
  };
}

/** The server's URL without --url: INFERQL_URL, else that of the system that is running from this folder, else PORT on this machine. */
export function defaultUrl(env: NodeJS.ProcessEnv): string {
  if (env.INFERQL_URL) return env.INFERQL_URL;
  return findRunningUrl(env.INFERQL_STATE_DIR || '.inferql') ?? `http://127.0.0.1:${env.PORT || 4000}`;
}

export function connectServer(
  { key }: Pick<CommandContext, 'key'>,
  url: string,
  retryForMs = RETRY_FOR_MS,
): Client<NodeImageInput> {
  return createClient({ url: parseServerUrl(url), key, retryForMs });
}

/**
 * The server's address as a URL of HTTP. Without this check, fetch would name user and password in its error.
 * @throws CommandFailure if it is another URL, or has a user or password
 */
export function parseServerUrl(text: string): URL {
  // People write `localhost:4000` and `[::1]:4000`.
  const full = /^(\[[\da-f:.]+\]|[\w.-]+):\d+(\/|$)/i.test(text) ? `http://${text}` : text;
  const url = URL.canParse(full) ? new URL(full) : undefined;
  if (url && /^https?:$/.test(url.protocol) && !url.username && !url.password) return url;
  const advice = url?.username || url?.password ? ', without user and password. Pass a key with INFERQL_KEY' : '';
  throw new CommandFailure(
    EXIT.usage,
    `'${safeText(hidePassword(text))}' is not a server URL. Expected e.g. http://localhost:4000${advice}.`,
  );
}

/**
 * Checks that the server has the model, without retries.
 * @throws CommandFailure if the server does not respond, or has no such model
 */
export async function requireModel(context: CommandContext, url: string, model: string | undefined): Promise<void> {
  const models = await connectServer(context, url, 0).models({ signal: context.signal });
  if (models.length === 0) throw noModelYet(url);
  if (model !== undefined && !models.some(({ name }) => name === model)) {
    const names = models.map(({ name }) => name).join(', ');
    throw new CommandFailure(EXIT.usage, `No model '${safeText(model)}'. Available: ${names}.`);
  }
}

/** Every command ends with the same exit code, so that a script can wait for the first model. */
export function noModelYet(url: string): CommandFailure {
  return new CommandFailure(EXIT.unreachable, `The server at ${url} has no model yet.`);
}

/** Turns an error of the server into one of the command. */
export function explainError(error: unknown, url: string): CommandFailure {
  if (error instanceof CommandFailure) return error;
  if (!(error instanceof InferqlError)) throw error;
  const message = safeText(error.message);
  switch (error.code) {
    case 'UNREACHABLE':
      return new CommandFailure(
        EXIT.unreachable,
        `No InferQL server responds at ${url}.

Start one with \`inferql serve\` (in a project's folder: \`npm start\`), or pass the address of another one with --url or INFERQL_URL.`,
      );
    case 'BAD_RESPONSE':
      return new CommandFailure(EXIT.unreachable, `${url} does not serve the InferQL API of this version. ${message}`);
    // The commands send nothing that a server refuses, except to the wrong address.
    case 'BAD_REQUEST':
      return new CommandFailure(EXIT.unreachable, `${url} refused the request: ${message}`);
    case 'UNAVAILABLE':
    case 'QUEUE_FULL':
    case 'DEADLINE_UNREACHABLE':
    case 'RATE_LIMITED':
      return new CommandFailure(
        EXIT.unreachable,
        `The server at ${url} cannot accept work now (${error.code}): ${message}`,
      );
    case 'UNAUTHENTICATED':
      return new CommandFailure(
        EXIT.usage,
        `The server at ${url} refused access: ${message}\n\nSet INFERQL_KEY or pass --key. Operators create API keys with \`inferql keys create --tenant NAME\`.`,
      );
    case 'FORBIDDEN':
    case 'INVALID_INPUT':
    case 'MODEL_NOT_FOUND':
      return new CommandFailure(EXIT.usage, message);
    default:
      return new CommandFailure(EXIT.failed, `${error.code}: ${message}`);
  }
}
