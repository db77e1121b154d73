/** Options that several commands have. */
import { Option } from 'commander';
import { defaultUrl } from './command-context.ts';
import { hidePassword } from './terminal-text.ts';

export function urlOption(env: NodeJS.ProcessEnv): Option {
  const url = defaultUrl(env);
  // The help shows it.
  return new Option('-u, --url <url>', 'address of the server (INFERQL_URL)').default(url, hidePassword(url));
}

export function modelOption(): Option {
  return new Option('-m, --model <name>', "model to use, see `inferql models` (default: the server's)");
}
