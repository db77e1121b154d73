// What is made from sources: typed documents, dist/, the web page. Each is made aside and renamed, and carries its own stamp.
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { digestPackages } from './packages.mjs';
import { distDir, projectDir, stampsDir, unfinishedDir } from './places.mjs';
import { SetupError, showStep } from './screen.mjs';
import { digestFiles, listFiles, readStamp, removeStamp, writeStamp } from './stamps.mjs';
import { runPackageScript } from './tools.mjs';

const SPEAK_GRAPHQL = ['client', 'e2e', 'web'];
const ROOMS = ['queue', 'settings', 'images', 'server', 'worker', 'converter', 'client', 'cli', 'bench', 'testing'];
// What the compiler leaves behind but the running code reads beside itself.
const ASSET = /\.lua$/;
const BUILD_STAMP = '.built-from';

const isTest = (path) => /\.test\.tsx?$/.test(path);

/** Typed documents for the client, the page and the tests, from schema.graphql. */
export async function generateDocuments() {
  const sources = listFiles(SPEAK_GRAPHQL, (path) => /\.(graphql|tsx?)$/.test(path) && !path.includes('/generated/'));
  const documents = sources.filter(
    (path) => path.endsWith('.graphql') || readFileSync(join(projectDir, path), 'utf8').includes('graphql('),
  );
  const digest = digestFiles(['schema.graphql', 'codegen.ts', ...documents], digestPackages());
  const stampPath = join(stampsDir, 'documents');
  const isThere = SPEAK_GRAPHQL.every((room) => existsSync(join(projectDir, room, 'generated')));
  if (isThere && readStamp(stampPath) === digest) return;
  removeStamp(stampPath);
  await showStep('Generating typed documents', () =>
    runPackageScript('codegen', '@graphql-codegen/cli/cjs/bin.js', ['--config', 'codegen.ts']),
  );
  writeStamp(stampPath, digest);
}

/** dist/ with everything that runs. */
export async function buildCode() {
  const sources = listFiles(ROOMS, (path) => (/\.tsx?$/.test(path) && !isTest(path)) || ASSET.test(path));
  const digest = digestFiles(['tsconfig.json', 'tsconfig.build.json', ...sources], digestPackages());
  if (readStamp(join(distDir, BUILD_STAMP)) === digest) return;
  const fresh = join(unfinishedDir, `dist-${process.pid}`);
  await showStep('Building', async () => {
    // Exit code 2 is 'emitted, with type errors': finding those is the checks' work, not the start's.
    const args = ['-p', 'tsconfig.build.json', '--outDir', fresh, '--noEmitOnError', 'false'];
    await runPackageScript('tsc', 'typescript/bin/tsc', args, { acceptCodes: [2] });
    for (const path of sources.filter((source) => ASSET.test(source))) {
      mkdirSync(dirname(join(fresh, path)), { recursive: true });
      copyFileSync(join(projectDir, path), join(fresh, path));
    }
  });
  for (const main of ['server/main.js', 'worker/main.js', 'converter/main.js']) {
    if (!existsSync(join(fresh, main))) throw new SetupError(`The build made no ${main}: see .inferql/logs/tsc.log`);
  }
  writeStamp(join(fresh, BUILD_STAMP), digest);
  // The page has a stamp of its own and moves over; a kill between the two renames costs building it again.
  if (existsSync(join(distDir, 'web'))) renameSync(join(distDir, 'web'), join(fresh, 'web'));
  replaceFolder(fresh, distDir);
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
