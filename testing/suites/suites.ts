/** Which suite a test file belongs to. It follows from the file's path and imports, so that no list is needed. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** From the quickest to the slowest setup. */
export const SUITES = ['unit', 'integration', 'e2e', 'faults', 'browser'] as const;
/** Run only if it is named: it needs a container engine, and ten minutes. */
export const CONTAINER_SUITE = 'containers';
export const ALL_SUITES = [...SUITES, CONTAINER_SUITE] as const;
export type Suite = (typeof ALL_SUITES)[number];

const SKIPPED_FOLDERS = new Set(['node_modules', 'dist', 'generated', 'tarballs']);
/** The modules of testing/ whose users belong to a suite. */
export const MODULES_OF_SUITE = {
  browser: ['page/browser', 'page/page-fixture'],
  e2e: [
    'system/system',
    'system/cli-fixture',
    'launcher/launcher',
    'launcher/launcher-fixture',
    'packages/installed-packages',
  ],
  integration: ['redis/redis-server', 'queue-harness', 'build'],
} as const;

const HARNESS = /from '[^']*(queue\.fixture|server-harness|http-harness)\.ts'/;

/** The modules of testing/ that a file imports, by the package's name or a relative path. */
function listTestingModules(path: string, source: string): Set<string> {
  const names = [...source.matchAll(/from '(@inferql\/|\.\.?\/)([^']+)'/g)].map(([, start, rest]) =>
    start === '@inferql/' ? rest! : join(dirname(path), `${start}${rest}`),
  );
  const own = names.filter((name) => name.startsWith('testing/'));
  return new Set(own.map((name) => name.slice('testing/'.length).replace(/\.ts$/, '')));
}

/** The suite of a test file. @param path from the project's root @param source the file's text */
export function findSuite(path: string, source: string): Suite {
  const imported = listTestingModules(path, source);
  const uses = (modules: readonly string[]) => modules.some((name) => imported.has(name));
  if (uses(MODULES_OF_SUITE.browser)) return 'browser';
  if (path.startsWith('e2e/containers/')) return CONTAINER_SUITE;
  if (path.startsWith('e2e/faults/')) return 'faults';
  if (path.startsWith('e2e/') || uses(MODULES_OF_SUITE.e2e)) return 'e2e';
  // A Redis server, compiled programs, the build or real models.
  const usesParts = uses(MODULES_OF_SUITE.integration) || HARNESS.test(source);
  if (usesParts || /(^|\/)(test|golden|commands)\/|package\.test\.ts$/.test(path)) return 'integration';
  return 'unit';
}

/** All test files below a folder, by suite, as paths from it. */
export function listSuites(root: string): Record<Suite, string[]> {
  const found: Record<Suite, string[]> = {
    unit: [],
    integration: [],
    e2e: [],
    faults: [],
    browser: [],
    containers: [],
  };
  const walk = (folder: string) => {
    for (const entry of readdirSync(join(root, folder), { withFileTypes: true })) {
      const path = folder ? `${folder}/${entry.name}` : entry.name;
      if (entry.isDirectory()) {
        if (!SKIPPED_FOLDERS.has(entry.name) && !entry.name.startsWith('.')) walk(path);
      } else if (/\.test\.tsx?$/.test(entry.name)) {
        found[findSuite(path, readWithFixtures(join(root, path)))].push(path);
      }
    }
  };
  walk('');
  return found;
}

/** The text of a test file and of its fixtures, and of theirs: a test needs what they import. */
function readWithFixtures(path: string, read = new Set<string>()): string {
  if (read.has(path)) return '';
  read.add(path);
  const source = readFileSync(path, 'utf8');
  const fixtures = [...source.matchAll(/from '(\.[^']*\.fixture\.ts)'/g)].map(([, name]) => join(path, '..', name!));
  return [source, ...fixtures.map((fixture) => readWithFixtures(fixture, read))].join('\n');
}
