import { randomBytes } from 'node:crypto';
import { rename, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { ModelName } from '@inferql/queue/contract';
import JSON5 from 'json5';
import * as z from 'zod';
import { ModelError } from '../errors.ts';
import { readTextFile } from '../files/text-file.ts';

/** Beside the folders of the models; says what is true of the repository as a whole. */
export const REPOSITORY_FILE = 'repository.json5';

const repositorySchema = z.strictObject({ default: ModelName });

/**
 * The model for requests that do not name one.
 * @returns undefined if the repository does not say
 * @throws ModelError SPEC_INVALID if the file cannot be read
 */
export async function readDefaultModel(modelsDir: string): Promise<string | undefined> {
  const file = path.join(modelsDir, REPOSITORY_FILE);
  const text = await readTextFile(file).catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    return repositorySchema.parse(JSON5.parse(text)).default;
  } catch (cause) {
    throw new ModelError('SPEC_INVALID', `${file}: expected { default: '<name of a model>' }`, { cause });
  }
}

/** Workers see it when they next read the repository. */
export async function writeDefaultModel(modelsDir: string, name: string): Promise<void> {
  const file = path.join(modelsDir, REPOSITORY_FILE);
  // Not the process id: one in another container may have the same.
  const unfinished = `${file}.${randomBytes(4).toString('hex')}`;
  await writeFile(unfinished, `${JSON5.stringify({ default: name }, null, 2)}\n`);
  await rename(unfinished, file);
}
