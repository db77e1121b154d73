/** Options that several commands have. */
import { Option } from 'commander';
import { defaultUrl } from './command-context.ts';

export function urlOption(env: NodeJS.ProcessEnv): Option {
  return new Option('-u, --url <url>', 'address of the server (INFERQL_URL)').default(defaultUrl(env));
}

export function modelOption(): Option {
  return new Option('-m, --model <name>', "model to use, see `inferql models` (default: the server's)");
}
