/** `npm run schema`: writes what is printed from code, schema.graphql and docs/configuration.md, and the typed documents. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildCode, generateDocuments } from '../build/compile.ts';
import type { Project } from '../project.ts';
import { withSetupLock } from '../setup/setup.ts';
import { print } from '../terminal.ts';

const PRINTED = {
  'schema.graphql': 'server/print-schema.js',
  'docs/configuration.md': 'settings/print-configuration-page.js',
};

export async function printSchema(project: Project): Promise<void> {
  await withSetupLock(project, async () => {
    await generateDocuments(project);
    await buildCode(project);
    for (const [path, program] of Object.entries(PRINTED)) {
      const text = execFileSync(process.execPath, [join(project.distDir, program)], {
        cwd: project.dir,
        encoding: 'utf8',
      });
      writeFileSync(join(project.dir, path), text);
      print(`  ${path}`);
    }
    await generateDocuments(project);
  });
}

/** `npm run codegen`: the typed documents. */
export async function generateCode(project: Project): Promise<void> {
  await withSetupLock(project, () => generateDocuments(project));
}
