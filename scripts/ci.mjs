// Every check there is, each counted; the last line is 'N passed, N failed, N skipped'. Arguments narrow the tests.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const { complain, say } = await import('./setup/screen.mjs');
const { logsDir, projectDir } = await import('./setup/places.mjs');
const { setUpTests } = await import('./setup/tests.mjs');

const counts = { passed: 0, failed: 0, skipped: 0 };
try {
  const { vitest, env } = await setUpTests();
  for (const [title, check] of checks(env)) {
    say(`\n== ${title}`);
    const failure = check();
    counts[failure ? 'failed' : 'passed']++;
    if (failure) complain(failure);
  }
  say('\n== tests');
  runTests(vitest, env);
} catch (error) {
  counts.failed++;
  complain(error.message);
}
say(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exitCode = counts.failed > 0 ? 1 : 0;

function checks(env) {
  const runs =
    (script, ...args) =>
    () =>
      runScript(script, args, env).status === 0 ? undefined : `${script} ${args.join(' ')} failed`;
  return [
    ['types', runs('typescript/bin/tsc', '-p', 'tsconfig.json', '--noEmit')],
    ['lint and format', runs('@biomejs/biome/bin/biome', 'ci', '--error-on-warnings', '--colors=off')],
    ['dead code and unlisted packages', runs('knip/bin/knip.js')],
    ['schema.graphql is what the code prints', compareSchema],
  ];
}

function runScript(script, args, env, stdio = 'inherit') {
  return spawnSync(process.execPath, [join(projectDir, 'node_modules', script), ...args], {
    cwd: projectDir,
    env,
    stdio,
    encoding: 'utf8',
  });
}

function compareSchema() {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['dist/server/print-schema.js'], {
    cwd: projectDir,
    encoding: 'utf8',
  });
  if (status !== 0) return stderr;
  if (stdout.trim() === readFileSync(join(projectDir, 'schema.graphql'), 'utf8').trim()) return undefined;
  return 'schema.graphql differs from the code: node dist/server/print-schema.js > schema.graphql';
}

function runTests(vitest, env) {
  const reportPath = join(logsDir, 'tests.json');
  const { status } = spawnSync(
    process.execPath,
    [
      vitest,
      'run',
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${reportPath}`,
      ...process.argv.slice(2),
    ],
    { cwd: projectDir, env, stdio: 'inherit' },
  );
  const report = JSON.parse(readFileSync(reportPath, 'utf8'));
  counts.passed += report.numPassedTests;
  counts.failed += report.numFailedTests;
  counts.skipped += report.numPendingTests + report.numTodoTests;
  // A file that cannot even be loaded has no tests to count.
  counts.failed += report.testResults.filter(
    (file) => file.status === 'failed' && file.assertionResults.length === 0,
  ).length;
  // Errors outside of any test, such as an unhandled rejection.
  if (status !== 0 && counts.failed === 0) counts.failed++;
}
