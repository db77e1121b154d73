// What is made from sources: typed documents, dist/, the web page. Each is made aside and renamed, and carries its own stamp.
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { assemblePackages, SHIPPED_PACKAGES } from './assemble.mjs';
import { digestPackages } from './packages.mjs';
import { benchDir, distDir, projectDir, stampsDir, unfinishedDir } from './places.mjs';
import { SetupError, showStep } from './screen.mjs';
import { digestFiles, listFiles, readStamp, removeStamp, writeStamp } from './stamps.mjs';
import { runPackageScript } from './tools.mjs';

const SPEAK_GRAPHQL = ['client', 'e2e', 'web'];
const BUILD_STAMP = '.built-from';
const NOT_COMPILED = ['**/node_modules', '**/*.test.ts', '**/*.fixture.ts', '**/test/**'];

const isTest = (path) => /\.test\.tsx?$/.test(path);

/** Typed documents for the client, the page and the tests, from schema.graphql. */
export async function generateDocuments() {
  const sources = listFiles(SPEAK_GRAPHQL, (path) => /\.(graphql|tsx?)$/.test(path) && !path.includes('/generated/'));
  const documents = sources.filter(
    (path) => path.endsWith('.graphql') || readFileSync(join(projectDir, path), 'utf8').includes('graphql('),
  );
  const digest = digestFiles(['schema.graphql', 'codegen.ts', ...documents], digestPackages());
  const stampPath = join(stampsDir, 'documents');
  const isThere = SPEAK_GRAPHQL.every((folder) => existsSync(join(projectDir, folder, 'generated')));
  if (isThere && readStamp(stampPath) === digest) return;
  removeStamp(stampPath);
  await showStep('Generating typed documents', () =>
    runPackageScript('codegen', '@graphql-codegen/cli/cjs/bin.js', ['--config', 'codegen.ts']),
  );
  writeStamp(stampPath, digest);
}

/** dist/ with everything that is shipped. */
export async function buildCode() {
  await compilePackages('Building', SHIPPED_PACKAGES, distDir, [
    'server/main.js',
    'worker/main.js',
    'converter/main.js',
  ]);
}

/** The benchmarks and what they measure, apart from dist/: nothing of them is shipped. */
export async function buildBench() {
  await compilePackages('Building the benchmarks', [...SHIPPED_PACKAGES, 'testing', 'bench'], benchDir, [
    'bench/main.js',
  ]);
}

async function compilePackages(title, folders, outDir, mains) {
  const sources = listFiles(folders, (path) => !isTest(path) && !path.includes('/generated/'));
  const digest = digestFiles(['schema.graphql', 'tsconfig.json', 'tsconfig.build.json', ...sources], digestPackages());
  if (readStamp(join(outDir, BUILD_STAMP)) === digest) return;
  const fresh = join(unfinishedDir, `build-${process.pid}`);
  await showStep(title, async () => {
    mkdirSync(fresh, { recursive: true });
    const config = join(unfinishedDir, `tsconfig-${process.pid}.json`);
    writeFileSync(config, JSON.stringify(compilerConfig(folders, fresh)));
    // Exit code 2 is 'emitted, with type errors': finding those is the checks' work, not the start's.
    await runPackageScript('tsc', 'typescript/bin/tsc', ['-p', config], { acceptCodes: [2] });
    assemblePackages(projectDir, fresh);
  });
  for (const main of mains) {
    if (!existsSync(join(fresh, main))) throw new SetupError(`The build made no ${main}: see .inferql/logs/tsc.log`);
  }
  writeStamp(join(fresh, BUILD_STAMP), digest);
  // The page has a stamp of its own and moves over; a kill between the two renames costs building it again.
  if (existsSync(join(outDir, 'web'))) renameSync(join(outDir, 'web'), join(fresh, 'web'));
  replaceFolder(fresh, outDir);
}

function compilerConfig(folders, outDir) {
  return {
    extends: join(projectDir, 'tsconfig.build.json'),
    compilerOptions: {
      rootDir: projectDir,
      outDir,
      noEmitOnError: false,
      typeRoots: [join(projectDir, 'node_modules/@types')],
    },
    include: folders.map((folder) => join(projectDir, folder)),
    exclude: NOT_COMPILED.map((pattern) => join(projectDir, pattern)),
  };
}

/** dist/web with the page that the server serves at `/`. */
export async function buildPage() {
  if (!existsSync(join(projectDir, 'web/index.html'))) return;
  const sources = listFiles(['web', 'client'], (path) => !isTest(path));
  const digest = digestFiles(['schema.graphql', 'tsconfig.json', ...sources], digestPackages());
  const pageDir = join(distDir, 'web');
  if (readStamp(join(pageDir, BUILD_STAMP)) === digest) return;
  const fresh = join(unfinishedDir, `web-${process.pid}`);
  await showStep('Building the web page', () =>
    runPackageScript('vite', 'vite/bin/vite.js', [
      'build',
      'web',
      '--outDir',
      fresh,
      '--emptyOutDir',
      '--logLevel',
      'warn',
    ]),
  );
  writeStamp(join(fresh, BUILD_STAMP), digest);
  replaceFolder(fresh, pageDir);
}

function replaceFolder(fresh, target) {
  const old = `${fresh}.old`;
  rmSync(old, { recursive: true, force: true });
  if (existsSync(target)) renameSync(target, old);
  renameSync(fresh, target);
  rmSync(old, { recursive: true, force: true });
}
