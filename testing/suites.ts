/** Which suite a test file belongs to. It follows from the file's path and imports, so that no list is needed. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** From the quickest to the slowest setup. */
export const SUITES = ['unit', 'integration', 'e2e', 'faults', 'browser'] as const;
/** Run only if it is named: it needs a container engine, and ten minutes. */
export const CONTAINER_SUITE = 'containers';
export const ALL_SUITES = [...SUITES, CONTAINER_SUITE] as const;
export type Suite = (typeof ALL_SUITES)[number];

const SKIPPED_FOLDERS = new Set(['node_modules', 'dist', 'generated', 'tarballs']);
/** The modules of testing/ whose users belong to a suite. */
export const MODULES_OF_SUITE = {
  browser: ['browser', 'page-fixture'],
  e2e: ['system', 'cli-fixture', 'launcher', 'launcher-fixture', 'installed-packages'],
  integration: ['redis-server', 'queue-harness', 'build'],
} as const;

const BROWSER = importOf(MODULES_OF_SUITE.browser);
const SYSTEM = importOf(MODULES_OF_SUITE.e2e);
/** A Redis server, compiled programs, the build or real models. */
const PARTS = importOf(MODULES_OF_SUITE.integration, '@inferql/testing/|\\./');
const HARNESS = /from '[^']*(queue\.fixture|server-harness|http-harness)\.ts'/;

function importOf(modules: readonly string[], folder = '@inferql/testing/'): RegExp {
  return new RegExp(`from '(${folder})(${modules.join('|')})(\\.ts)?'`);
}

/** The suite of a test file. @param path from the project's root @param source the file's text */
export function findSuite(path: string, source: string): Suite {
  if (BROWSER.test(source)) return 'browser';
  if (path.startsWith('e2e/containers/')) return CONTAINER_SUITE;
  if (path.startsWith('e2e/faults/')) return 'faults';
  if (path.startsWith('e2e/') || SYSTEM.test(source)) return 'e2e';
  if (PARTS.test(source) || HARNESS.test(source) || /(^|\/)(test|golden|commands)\/|package\.test\.ts$/.test(path))
    return 'integration';
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
