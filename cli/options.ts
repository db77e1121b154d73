import { InvalidArgumentError, Option } from 'commander';
import { defaultUrl } from './command-context.ts';

/** A parser of whole numbers in a range, for commander. */
export function integerBetween(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!/^\d+$/.test(text) || value < least || value > most) {
      throw new InvalidArgumentError(`Expected a whole number from ${least} to ${most}.`);
    }
    return value;
  };
}

export function urlOption(env: NodeJS.ProcessEnv): Option {
  return new Option('-u, --url <url>', 'address of the server (INFERQL_URL)').default(defaultUrl(env));
}

export function modelOption(): Option {
  return new Option('-m, --model <name>', "model to use, see `inferql models` (default: the server's)");
}
