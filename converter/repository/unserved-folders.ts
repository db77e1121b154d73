import { readdir, stat } from 'node:fs/promises';
import path from 'node:path';
import { MODEL_NAME } from '@inferql/queue/contract';
import { SPEC_FILE } from '../spec/spec.ts';
import { findModelFile } from '../spec/spec-file.ts';

/** Folders of the repository that hold something else. */
export const NOT_MODELS: ReadonlySet<string> = new Set(['samples']);

/** A sentence per folder of a repository that is not served, although a user may expect it. None if there is no repository. */
export async function describeOddFolders(modelsDir: string): Promise<string[]> {
  const entries = await readdir(modelsDir, { withFileTypes: true }).catch(() => []);
  const lines: string[] = [];
  for (const entry of entries) {
    const { name } = entry;
    // Folders whose names begin with a dot are being added or replaced.
    if (name.startsWith('.') || NOT_MODELS.has(name)) continue;
    const folder = path.join(modelsDir, name);
    // The command would otherwise write into the folder that is the default where it is called.
    const add = `npx inferql models add ${JSON.stringify(folder)} --models-dir ${JSON.stringify(modelsDir)}`;
    const target = await stat(folder).catch(() => undefined);
    if (entry.isSymbolicLink() && target === undefined) {
      lines.push(`${folder} is a link that leads nowhere and is not served: correct it, or remove it`);
      continue;
    }
    if (!target?.isDirectory()) continue;
    const hasSpec = (await findModelFile(folder)) !== undefined;
    if (!MODEL_NAME.test(name)) {
      lines.push(
        `${folder} is not served: the names of models have lower-case letters, digits, "_" and "-" only${
          hasSpec ? '; rename it' : `: \`${add} --name NAME\``
        }`,
      );
    } else if (!hasSpec) {
      lines.push(`${folder} has no ${SPEC_FILE} and is not served: \`${add} --name ${name} --replace\` writes one`);
    }
  }
  return lines.sort();
}
