/** `npm test`: the setup of a start, the tests' programs, then every suite except that of containers, or those that are named. Other arguments go to vitest. */
import { join } from 'node:path';
import { VITE_CONFIG } from '../build/compile.ts';
import type { Project } from '../project.ts';
import { runProgram } from '../run-program.ts';
import { CONTAINER_SUITE, SUITES, type Suite, setUpTests } from '../setup/tests.ts';

export async function test(project: Project, args: readonly string[]): Promise<void> {
  const isSuite = (arg: string): arg is Suite => [...SUITES, CONTAINER_SUITE].some((suite) => suite === arg);
  const named = args.filter(isSuite);
  const suites = named.length > 0 ? named : SUITES;
  const others = args.filter((arg) => !isSuite(arg));
  const env = await setUpTests(project, suites);
  const vitest = join(project.dir, 'node_modules/vitest/vitest.mjs');
  const reporter = join(project.dir, 'testing/suites/progress-reporter.ts');
  const chosen = suites.map((suite) => `--project=${suite}`);
  const code = await runProgram([vitest, 'run', ...VITE_CONFIG, `--reporter=${reporter}`, ...chosen, ...others], {
    cwd: project.dir,
    env,
  });
  process.exit(code);
}
