/** The folder of a model: its `model.json5`, and what its code declares. */
import { stat } from 'node:fs/promises';
import path from 'node:path';
import { MODEL_NAME } from '@inferql/queue/contract';
import { ModelError } from '../errors.ts';
import { readTextFile } from '../files/text-file.ts';
import { readModuleFields } from './declaration-process.ts';
import { parseDeclaration } from './module-declaration.ts';
import { checkSpec, findModule, type ModelSpec, parseJson5, SPEC_FILE } from './spec.ts';

/** A folder with one of these is a model without a `model.json5`, too. */
const ENGINE_FILES = ['engine.js', 'engine.mjs'];

/** Other errors mean that a file cannot be seen now: a disk that fails, missing rights, too many open files. */
const ABSENT = ['ENOENT', 'ENOTDIR', 'ELOOP'];

/**
 * The file that makes a folder a model: its spec, or code that declares the model. Undefined if it has neither. A file that cannot be seen
 * counts, so that a model is not taken for removed: who reads it reports the error.
 */
export async function findModelFile(modelDir: string): Promise<string | undefined> {
  for (const name of [SPEC_FILE, ...ENGINE_FILES]) {
    const isThere = await stat(path.join(modelDir, name)).then(
      (found) => found.isFile(),
      (error: NodeJS.ErrnoException) => !ABSENT.includes(error.code ?? ''),
    );
    if (isThere) return name;
  }
  return undefined;
}

/**
 * Reads `<modelDir>/model.json5`, and what the model's code declares if the spec has no `input`. Code is imported in another process.
 * @throws ModelError SPEC_INVALID
 */
export async function readSpec(modelDir: string): Promise<{ name: string; spec: ModelSpec }> {
  const name = path.basename(path.resolve(modelDir));
  const modelFile = (await findModelFile(modelDir)) ?? SPEC_FILE;
  const file = path.join(modelDir, modelFile);
  if (!MODEL_NAME.test(name)) {
    throw new ModelError(
      'SPEC_INVALID',
      `${file}: the folder's name is the model's name: expected lower-case letters, digits, "_" or "-", at most 64, not "${name}"`,
    );
  }
  const raw = modelFile === SPEC_FILE ? parseJson5(await readText(file), file) : { engine: `./${modelFile}` };
  return { name, spec: checkSpec(await addDeclared(raw, { modelDir, name, file }), file) };
}

/** The spec with what its code declares, if it has a module and no `input`. */
async function addDeclared(
  raw: unknown,
  { modelDir, name, file }: { modelDir: string; name: string; file: string },
): Promise<unknown> {
  const code = findModule(raw);
  const spec = raw as Record<string, unknown>;
  if (code === undefined || 'input' in spec || 'source' in spec) return raw;
  const declared = parseDeclaration(await readModuleFields(modelDir, code), name, path.join(modelDir, code));
  const lines = Object.keys(declared)
    .filter((field) => field in spec)
    .map((field) => `  ${field}: expected once, ${code} declares it, too`);
  if (declared.input === undefined) lines.push(`  input: expected here, or in what ${code} declares`);
  if (lines.length > 0) throw new ModelError('SPEC_INVALID', `${file} is not a model's spec:\n${lines.join('\n')}`);
  return { ...declared, ...spec };
}

/** @throws ModelError SPEC_INVALID */
async function readText(file: string): Promise<string> {
  return readTextFile(file).catch((cause: Error) => {
    throw new ModelError('SPEC_INVALID', `${file} cannot be read: ${cause.message}`, { cause });
  });
}
