/**
 * `npm run check`, which is also `.ci/run`: all checks, each counted. The last line is 'N passed, N failed, N skipped', and
 * the exit code is 0 if none failed. Arguments narrow the tests.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import type { Project } from '../project.ts';
import { SUITES, setUpTests } from '../setup/tests.ts';
import { describeFailure, print, printError } from '../terminal.ts';

const SLOWEST = 10;

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/** What vitest's JSON reporter writes, as far as it is read here. */
interface Report {
  numPassedTests: number;
  numFailedTests: number;
  numPendingTests: number;
  numTodoTests: number;
  testResults: {
    name: string;
    status: string;
    assertionResults: { fullName: string; duration?: number | null }[];
  }[];
}

export async function check(project: Project, args: readonly string[]): Promise<void> {
  const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  try {
    const env = await setUpTests(project);
    for (const [title, failure] of runChecks(project, env)) {
      counts[failure === undefined ? 'passed' : 'failed']++;
      if (failure !== undefined) printError(`${title}: ${failure}`);
    }
    print('\n== tests');
    runTests(project, env, args, counts);
  } catch (error) {
    counts.failed++;
    printError(describeFailure(error));
  }
  print(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
  process.exitCode = counts.failed > 0 ? 1 : 0;
}

type Environment = Record<string, string | undefined>;

/** Runs each requested check: its title, and what is wrong, if anything. */
function* runChecks(project: Project, env: Environment): Generator<[title: string, failure: string | undefined]> {
  const scripts: [title: string, script: string, ...args: string[]][] = [
    ['types', 'typescript/bin/tsc', '-p', 'tsconfig.json', '--noEmit'],
    ['lint and format', '@biomejs/biome/bin/biome', 'ci', '--error-on-warnings', '--colors=off'],
    ['dead code and unlisted packages', 'knip/bin/knip.js'],
  ];
  for (const [title, script, ...args] of scripts) {
    print(`\n== ${title}`);
    const { status } = runScript(project, env, script, args);
    yield [title, status === 0 ? undefined : `${script} ${args.join(' ')} failed`];
  }
  print('\n== schema.graphql is what the code prints');
  yield ['schema', compareSchema(project)];
}

function runScript({ dir }: Project, env: Environment, script: string, args: readonly string[]) {
  return spawnSync(process.execPath, [join(dir, 'node_modules', script), ...args], { cwd: dir, env, stdio: 'inherit' });
}

function compareSchema({ dir, distDir }: Project): string | undefined {
  const program = join(distDir, 'server/print-schema.js');
  const { status, stdout, stderr } = spawnSync(process.execPath, [program], { cwd: dir, encoding: 'utf8' });
  if (status !== 0) return stderr;
  if (stdout.trim() === readFileSync(join(dir, 'schema.graphql'), 'utf8').trim()) return undefined;
  return 'schema.graphql differs from the code: run npm run schema';
}

function runTests(project: Project, env: Environment, args: readonly string[], counts: Counts): void {
  const reportPath = join(project.logsDir, 'tests.json');
  rmSync(reportPath, { force: true });
  const reporters = [
    `--reporter=${join(project.dir, 'testing/progress-reporter.ts')}`,
    '--reporter=json',
    `--outputFile.json=${reportPath}`,
  ];
  const chosen = SUITES.map((suite) => `--project=${suite}`);
  const { status } = runScript(project, env, 'vitest/vitest.mjs', ['run', ...reporters, ...chosen, ...args]);
  const report = JSON.parse(readFileSync(reportPath, 'utf8')) as Report;
  counts.passed += report.numPassedTests;
  counts.failed += report.numFailedTests;
  counts.skipped += report.numPendingTests + report.numTodoTests;
  // A file that cannot even be loaded has no tests to count.
  const unloaded = report.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0);
  counts.failed += unloaded.length;
  // Errors outside of any test, such as an unhandled rejection.
  if (status !== 0 && counts.failed === 0) counts.failed++;
  printSlowest(project, report);
}

function printSlowest({ dir }: Project, { testResults }: Report): void {
  const tests = testResults.flatMap(({ name: path, assertionResults }) =>
    assertionResults.map(({ fullName, duration }) => ({ path: relative(dir, path), fullName, ms: duration ?? 0 })),
  );
  print(`\n== the ${SLOWEST} slowest tests`);
  for (const { path, fullName, ms } of tests.sort((a, b) => b.ms - a.ms).slice(0, SLOWEST)) {
    print(`${(ms / 1000).toFixed(1).padStart(7)} s  ${path}  ${fullName}`);
  }
  print();
}
