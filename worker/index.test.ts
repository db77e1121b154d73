import { join } from 'node:path';
import { build } from 'esbuild';
import { expect, test } from 'vitest';

/** Modules that an import of the file evaluates, in the order in which they are found; packages by their names. */
async function listEvaluated(entry: string): Promise<string[]> {
  const { metafile } = await build({
    entryPoints: [join(import.meta.dirname, entry)],
    absWorkingDir: import.meta.dirname,
    bundle: true,
    packages: 'external',
    platform: 'node',
    format: 'esm',
    metafile: true,
    write: false,
  });
  const found = [entry];
  for (const path of found) {
    for (const { path: imported, kind } of metafile.inputs[path]?.imports ?? []) {
      if (kind === 'import-statement' && !found.includes(imported)) found.push(imported);
    }
  }
  return found;
}

test('the import of defineModel in an engine process loads no worker', async () => {
  expect(await listEvaluated('index.ts')).toEqual(['index.ts', 'embed/start-worker.ts', 'engines/custom/types.ts']);
  // The list has what it should find.
  expect(await listEvaluated('embed/run-worker.ts')).toEqual(expect.arrayContaining(['embed/options.ts', 'pino']));
});
