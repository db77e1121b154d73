import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import * as launcher from '@inferql/launcher/setup/tests';
import { expect, test } from 'vitest';
import { CONTAINER_SUITE, findSuite, listSuites, MODULES_OF_SUITE, SUITES } from './suites.ts';

const imports = (name: string) => `import { x } from '${name}';`;

test.each([
  ['cli/terminal-text.test.ts', '', 'unit'],
  ['queue/jobs/consumer.test.ts', imports('./queue.fixture.ts'), 'integration'],
  ['worker/main.test.ts', imports('@inferql/testing/redis/redis-server'), 'integration'],
  ['testing/redis/redis-proxy.test.ts', imports('./redis-server.ts'), 'integration'],
  ['server/test/http.test.ts', '', 'integration'],
  ['bench/redis-counts.test.ts', imports('@inferql/testing/system/system'), 'e2e'],
  ['e2e/client.test.ts', '', 'e2e'],
  ['e2e/faults/redis.test.ts', '', 'faults'],
  ['e2e/containers/compose.test.ts', '', 'containers'],
  ['e2e/page/web.test.ts', imports('@inferql/testing/page/browser'), 'browser'],
  ['e2e/page/web-limits.test.ts', imports('@inferql/testing/page/page-fixture'), 'browser'],
])('%s importing %s is of suite %s', (path, source, suite) => {
  expect(findSuite(path, source)).toBe(suite);
});

test('the launcher knows the same suites', () => {
  expect({ SUITES, CONTAINER_SUITE }).toEqual({ SUITES: launcher.SUITES, CONTAINER_SUITE: launcher.CONTAINER_SUITE });
});

test('the modules that decide about a suite exist', () => {
  const files = Object.values(MODULES_OF_SUITE).flatMap((modules) => modules.map((name) => `${name}.ts`));
  expect(readdirSync(join(import.meta.dirname, '..'), { recursive: true })).toEqual(expect.arrayContaining(files));
});

test('every suite has tests, and each file is in one', () => {
  const suites = listSuites(join(import.meta.dirname, '../..'));
  for (const [suite, files] of Object.entries(suites)) expect(files.length, suite).toBeGreaterThan(0);
  const all = Object.values(suites).flat();
  expect(new Set(all).size).toBe(all.length);
  expect(suites.unit).toContain('testing/suites/suites.test.ts');
  // Its fixture builds the worker.
  expect(suites.integration).toContain('worker/engines/custom/custom-engine.test.ts');
});
