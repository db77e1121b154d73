/** `npm run check` on small projects: what is wrong is counted as failed, and what is right is not. */
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createStateDirs, openProject, type Project } from '../project.ts';
import { SUITES } from '../setup/tests.ts';
import { compareSchema, runTests, startChecks } from './check.ts';

const SOURCE = process.cwd();
const COMPILER_OPTIONS = { strict: true, target: 'es2022', module: 'nodenext', skipLibCheck: true, types: [] };

let project: Project;

beforeEach(() => {
  const dir = mkdtempSync(join(tmpdir(), 'inferql-check-'));
  project = openProject(dir);
  createStateDirs(project);
  // The tools and the reporter of the real project.
  symlinkSync(join(SOURCE, 'node_modules'), join(dir, 'node_modules'));
  mkdirSync(join(dir, 'testing/suites'), { recursive: true });
  cpSync(join(SOURCE, 'testing/suites/progress-reporter.ts'), join(dir, 'testing/suites/progress-reporter.ts'));
});

afterEach(() => rmSync(project.dir, { recursive: true, force: true }));

function write(files: Record<string, string>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(project.dir, path, '..'), { recursive: true });
    writeFileSync(join(project.dir, path), text);
  }
}

function writeProject(files: Record<string, string>): void {
  write({
    'package.json': JSON.stringify({ name: 'checked', type: 'module', private: true }),
    'tsconfig.json': JSON.stringify({ compilerOptions: COMPILER_OPTIONS, files: ['main.ts'] }),
    'biome.json': JSON.stringify({ files: { includes: ['*.ts'] }, json: { formatter: { enabled: false } } }),
    'knip.json': JSON.stringify({ entry: ['main.ts'], project: ['*.ts'] }),
    ...files,
  });
}

/** The titles of the checks of the sources that fail. */
async function findFailed(): Promise<string[]> {
  const findings = await Promise.all(startChecks(project));
  expect(findings).toHaveLength(3);
  return findings.filter(({ failure }) => failure !== undefined).map(({ title }) => title);
}

test('sources without a mistake pass each check', async () => {
  writeProject({ 'main.ts': 'export const answer = 42;\n' });
  expect(await findFailed()).toEqual([]);
});

test.each([
  ['types', { 'main.ts': 'export const answer: string = [42].length;\n' }],
  ['lint and format', { 'main.ts': 'export const answer = 42 ;\n' }],
  [
    'dead code and unlisted packages',
    { 'main.ts': 'export const answer = 42;\n', 'dead.ts': 'export const never = 0;\n' },
  ],
])('a mistake of the kind "%s" fails that check alone', async (title, files) => {
  writeProject(files);
  expect(await findFailed()).toEqual([title]);
});

test.each([
  ['is what the code prints', 'type Query', undefined],
  ['differs from what the code prints', 'type Mutation', expect.stringContaining('npm run schema')],
])('a schema.graphql that %s', async (_what, printed, failure) => {
  write({
    'schema.graphql': 'type Query\n',
    'dist/server/print-schema.js': `console.log(${JSON.stringify(printed)});`,
  });
  expect(await compareSchema(project)).toMatchObject({ failure });
});

test('a schema that cannot be printed fails', async () => {
  write({ 'schema.graphql': 'type Query\n', 'dist/server/print-schema.js': 'throw new Error("broken");' });
  expect(await compareSchema(project)).toMatchObject({ failure: 'it cannot be printed' });
});

const PASSES = "import { expect, test } from 'vitest'; test('passes', () => expect(1).toBe(1));";

/** Runs the tests of the project: each file belongs to the suite in its name. */
function countTests(files: Record<string, string>) {
  const suites = SUITES.map((name) => ({ test: { name, include: [`${name}*.test.js`] } }));
  write({
    'package.json': '{ "type": "module" }',
    'vitest.config.js': `export default { test: { projects: ${JSON.stringify(suites)} } };`,
    ...files,
  });
  // The output would look like this run's.
  return runTests(project, { PATH: process.env.PATH }, [], 'ignore');
}

test('tests of every suite are counted, failed and skipped ones too', () => {
  const files = Object.fromEntries(SUITES.map((suite) => [`${suite}.test.js`, PASSES]));
  const others = `${PASSES}
    test('fails', () => expect(1).toBe(2));
    test.skip('is skipped', () => {});
    test.todo('is planned');`;
  const counts = countTests({ ...files, 'unit-others.test.js': others });
  expect(counts).toEqual({ passed: SUITES.length + 1, failed: 1, skipped: 2 });
});

test('a test file that cannot be loaded counts as failed', () => {
  const counts = countTests({ 'unit.test.js': PASSES, 'unit-broken.test.js': "import './missing.js';" });
  expect(counts).toEqual({ passed: 1, failed: 1, skipped: 0 });
});

test('an error outside of all tests counts as failed', () => {
  const late = `${PASSES} test('leaves a rejection', () => void Promise.reject(new Error('late')));`;
  expect(countTests({ 'unit.test.js': late })).toEqual({ passed: 2, failed: 1, skipped: 0 });
});
