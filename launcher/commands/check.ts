/**
 * `npm run check`, which is also `.ci/run`: all checks, each counted. The last line is 'N passed, N failed, N skipped', and
 * the exit code is 0 if none failed. Arguments narrow the tests.
 */
import { execFile, spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { VITE_CONFIG } from '../build/compile.ts';
import type { Project } from '../project.ts';
import { SUITES, setUpTests } from '../setup/tests.ts';
import { describeFailure, print, printError } from '../terminal.ts';

const SLOWEST = 10;

export interface Counts {
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
  const checks: Promise<Finding>[] = [];
  const begin = (started: Promise<Finding>[]) => {
    checks.push(...started);
    // They are awaited once the setup is done.
    for (const check of started) check.catch(() => {});
  };
  try {
    const env = await setUpTests(project, SUITES, {
      onGenerated: () => begin(startChecks(project)),
      onBuilt: () => begin([compareSchema(project)]),
    });
    for (const { title, output, failure } of await Promise.all(checks)) {
      print(`\n== ${title}`);
      if (output) print(output.trimEnd());
      counts[failure === undefined ? 'passed' : 'failed']++;
      if (failure !== undefined) printError(`${title}: ${failure}`);
    }
    print('\n== tests');
    const tests = runTests(project, env, args);
    counts.passed += tests.passed;
    counts.failed += tests.failed;
    counts.skipped += tests.skipped;
  } catch (error) {
    counts.failed++;
    printError(describeFailure(error));
  }
  print(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
  process.exitCode = counts.failed > 0 ? 1 : 0;
}

export interface Finding {
  title: string;
  output: string;
  /** What is wrong, if anything. */
  failure: string | undefined;
}

/** Begins each check of the sources; most of them use one core, so they run in parallel with the rest of the setup. */
export function startChecks(project: Project): Promise<Finding>[] {
  const scripts: [title: string, script: string, ...args: string[]][] = [
    ['types', 'typescript/bin/tsc', '-p', 'tsconfig.json', '--noEmit'],
    ['lint and format', '@biomejs/biome/bin/biome', 'ci', '--error-on-warnings', '--colors=off'],
    ['dead code and unlisted packages', 'knip/bin/knip.js'],
  ];
  return scripts.map(async ([title, script, ...args]) => {
    const { output, hasFailed } = await run(project, [join('node_modules', script), ...args]);
    return { title, output, failure: hasFailed ? `${script} ${args.join(' ')} failed` : undefined };
  });
}

/** Runs a program of Node to its end. */
function run(
  { dir }: Project,
  args: readonly string[],
): Promise<{ stdout: string; output: string; hasFailed: boolean }> {
  const options = { cwd: dir, maxBuffer: 64 * 1024 * 1024 };
  return new Promise((resolve) => {
    execFile(process.execPath, args, options, (error, stdout, stderr) =>
      resolve({ stdout, output: stdout + stderr, hasFailed: error !== null }),
    );
  });
}

/** Compares schema.graphql with what the built server prints. */
export async function compareSchema(project: Project): Promise<Finding> {
  const { dir, distDir } = project;
  const title = 'schema.graphql is what the code prints';
  const { stdout, output, hasFailed } = await run(project, [join(distDir, 'server/print-schema.js')]);
  if (hasFailed) return { title, output, failure: 'it cannot be printed' };
  const isSame = stdout.trim() === readFileSync(join(dir, 'schema.graphql'), 'utf8').trim();
  return { title, output: '', failure: isSame ? undefined : 'it differs; run npm run schema' };
}

/**
 * Runs the tests of all suites in the foreground, and prints the slowest ones.
 * @param env the whole environment of the tests
 * @param args further arguments for vitest
 * @param output whether vitest's output is shown
 */
export function runTests(
  project: Project,
  env: Record<string, string | undefined>,
  args: readonly string[],
  output: 'inherit' | 'ignore' = 'inherit',
): Counts {
  const reportPath = join(project.logsDir, 'tests.json');
  rmSync(reportPath, { force: true });
  const reporters = [
    `--reporter=${join(project.dir, 'testing/suites/progress-reporter.ts')}`,
    '--reporter=json',
    `--outputFile.json=${reportPath}`,
  ];
  const chosen = SUITES.map((suite) => `--project=${suite}`);
  const vitest = join(project.dir, 'node_modules/vitest/vitest.mjs');
  const options = { cwd: project.dir, env, stdio: output };
  const { status } = spawnSync(
    process.execPath,
    [vitest, 'run', ...VITE_CONFIG, ...reporters, ...chosen, ...args],
    options,
  );
  const report = JSON.parse(readFileSync(reportPath, 'utf8')) as Report;
  printSlowest(project, report);
  // A file that cannot even be loaded has no tests to count.
  const unloaded = report.testResults.filter((file) => file.status === 'failed' && file.assertionResults.length === 0);
  const failed = report.numFailedTests + unloaded.length;
  return {
    passed: report.numPassedTests,
    // Without a failed test, an error outside of any, such as an unhandled rejection.
    failed: status !== 0 ? Math.max(1, failed) : failed,
    skipped: report.numPendingTests + report.numTodoTests,
  };
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
