import { existsSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createStateDirs, openProject } from '../project.ts';
import { buildPage } from './compile.ts';

test('the page is built if nothing can be written to node_modules', async () => {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'inferql-page-')));
  try {
    for (const folder of ['web', 'node_modules', 'dist']) mkdirSync(join(dir, folder));
    symlinkSync(realpathSync('node_modules/vite'), join(dir, 'node_modules/vite'));
    // Also root, who may write to every folder, cannot write to one below a file.
    writeFileSync(join(dir, 'node_modules/.vite-temp'), '');
    writeFileSync(join(dir, 'package.json'), '{ "type": "module" }');
    writeFileSync(join(dir, 'web/index.html'), '<!doctype html><title>A page</title>');
    writeFileSync(join(dir, 'web/vite.config.ts'), 'export default { root: import.meta.dirname as string };\n');
    const project = openProject(dir);
    createStateDirs(project);
    await buildPage(project);
    expect(existsSync(join(project.distDir, 'web/index.html'))).toBe(true);
  } finally {
    rmSync(dir, { recursive: true });
  }
});
