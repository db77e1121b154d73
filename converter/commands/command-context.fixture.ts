import path from 'node:path';
import { buildSystem } from '@inferql/testing/build';
import { afterAll, beforeAll } from 'vitest';
import type { ModelRunner } from '../model-process/model-runner.ts';
import { createProcessRunner, type RunnerOptions } from '../model-process/process-runner.ts';
import type { CommandContext } from './command-context.ts';

let programPath: string;
let runner: ModelRunner;
beforeAll(async () => {
  programPath = path.join(await buildSystem(), 'converter/model-process/model-process-main.js');
  runner = createTestRunner();
});
afterAll(() => runner.close());

/** A runner of compiled code. Call it in a hook or a test. */
export function createTestRunner(options: Partial<RunnerOptions> = {}): ModelRunner {
  return createProcessRunner({ signal: new AbortController().signal, programPath, ...options });
}

/** The context of commands whose folders are below `root`, and the lines that they print. Call it in a hook or a test. */
export function createContext(root: string): { context: CommandContext; printed: string[] } {
  const printed: string[] = [];
  const context = {
    modelsDir: path.join(root, 'models'),
    stateDir: path.join(root, 'state'),
    signal: new AbortController().signal,
    runner,
    print: (line: string) => printed.push(line),
  };
  return { context, printed };
}
