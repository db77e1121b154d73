import path from 'node:path';
import type { CommandContext } from './command-context.ts';

/** The context of commands whose folders are below `root`, and the lines that they print. */
export function createContext(root: string): { context: CommandContext; printed: string[] } {
  const printed: string[] = [];
  const context = {
    modelsDir: path.join(root, 'models'),
    stateDir: path.join(root, 'state'),
    signal: new AbortController().signal,
    print: (line: string) => printed.push(line),
  };
  return { context, printed };
}
