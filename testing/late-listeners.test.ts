/** A loop that reads something and then begins to listen misses what happens between, and waits forever. Listen first, then read. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';

const ROOT = join(import.meta.dirname, '..');
const LATE_LISTENER = /while \(.*\bawait\b.*\) (\{\s*)?await once\(/;

/** The TypeScript files below a folder, as paths from the project. */
function listSources(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (!entry.isDirectory()) return /\.tsx?$/.test(entry.name) ? [path] : [];
    return /^(node_modules|dist|generated)$|^\./.test(entry.name) ? [] : listSources(path);
  });
}

test('no loop begins to listen after it has read', () => {
  const sources = listSources('');
  expect(sources).toContain('testing/queue-harness.ts');
  const late = sources.filter((path) => LATE_LISTENER.test(readFileSync(join(ROOT, path), 'utf8')));
  // The samples below.
  expect(late).toEqual(['testing/late-listeners.test.ts']);
});

test.each([
  ["while ((await registry.defaultModel()) !== name) await once(subscriber, 'message');", true],
  ["while (!(await isReady())) {\n  await once(server, 'change');\n}", true],
  ["while (!text.includes('live')) await once(socket, 'data');", false],
])('such a loop is found: %s', (source, isFound) => {
  expect(LATE_LISTENER.test(source)).toBe(isFound);
});
