import { cp, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { MODEL_NAME } from '@inferql/queue/contract';
import JSON5 from 'json5';
import { ModelError, UnsupportedOpError } from '../errors.ts';
import { wayOut } from '../export-advice.ts';
import { createStaging, replaceFolder } from '../files/staging.ts';
import { type PreparedModel, prepareModel } from '../prepared-model.ts';
import { NOT_MODELS } from '../repository/unserved-folders.ts';
import { nameOfSource, obtainSource } from '../sources/obtain-source.ts';
import { SPEC_FILE } from '../spec/spec.ts';
import { findModelFile } from '../spec/spec-file.ts';
import { tryModel } from './check.ts';
import type { CommandContext } from './command-context.ts';
import { compareWithTfjs } from './compare.ts';
import { keepDefault } from './default.ts';
import { findHints } from './normalization-hints.ts';
import { type SpecOptions, writeSpec } from './write-spec.ts';

export interface AddOptions extends SpecOptions {
  name?: string;
  /** Replace the model of that name. */
  replace?: boolean;
}

/**
 * Adds a model to the repository: gets it, derives its spec, tries it on the samples, compares it with tfjs if
 * tfjs runs it, and only then moves it into the repository.
 * @throws ModelError if the model cannot be got, read or run, or if tfjs gives other answers
 */
export async function addModel(source: string, options: AddOptions, context: CommandContext): Promise<PreparedModel> {
  const name = options.name ?? nameOfSource(source);
  if (!MODEL_NAME.test(name)) {
    throw new ModelError('ARGUMENT_INVALID', `--name: expected lower-case letters, digits, "_" or "-", found ${name}`);
  }
  const target = path.join(context.modelsDir, name);
  const exists = await checkTarget(target, source, options);
  const staging = await createStaging(context.stateDir);
  const modelDir = path.join(staging, name);
  try {
    await mkdir(modelDir);
    context.print(`getting ${source}`);
    context.runner.warmUp();
    const obtained = await obtainSource(source, modelDir, context);
    await writeSpec(obtained, options, modelDir, context, () => findHints(source));
    const { stateDir, signal } = context;
    let model = await prepareModel({ modelDir, stateDir, signal });
    const batching = await tryModel(model, context, { isActivationGuess: options.activation === undefined });
    if (batching.isSingle && model.spec.batching.maxBatchSize > 1) {
      await limitBatches(modelDir, batching.why, options, context);
      model = await prepareModel({ modelDir, stateDir, signal });
    }
    await compareWithTfjs(model, context);
    await moveIntoPlace(modelDir, target, exists, isWithin(source, target));
    context.print(`added ${name}, version ${model.version}; its spec is ${path.join(target, SPEC_FILE)}`);
    await keepDefault(name, context);
    return model;
  } catch (cause) {
    if (!(cause instanceof UnsupportedOpError)) throw cause;
    // Found while the file was read, before anything could try it otherwise.
    throw new ModelError('SOURCE_INVALID', `${cause.message}. ${wayOut('tfjs-layers', cause.message)}`, { cause });
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

/** @throws ModelError SPEC_INVALID if more images per run were asked for */
async function limitBatches(
  modelDir: string,
  why: string,
  { batch }: AddOptions,
  { print }: CommandContext,
): Promise<void> {
  if (batch !== undefined) throw new ModelError('SPEC_INVALID', `--batch: expected 1, since ${why}`);
  const file = path.join(modelDir, SPEC_FILE);
  const spec = { ...JSON5.parse<object>(await readFile(file, 'utf8')), batching: { maxBatchSize: 1 } };
  await writeFile(file, `${JSON5.stringify(spec, null, 2)}\n`);
  print(`  it is served with one image per run: ${why}`);
}

/**
 * Looks at the place of the new model.
 * @returns whether there is something that it replaces
 * @throws ModelError SPEC_INVALID if that must not be replaced
 */
async function checkTarget(target: string, source: string, { replace = false }: AddOptions): Promise<boolean> {
  const isTaken = (await stat(target).catch(() => undefined)) !== undefined;
  // A model's files that have no spec yet get it where they are.
  const isSource = path.resolve(source) === path.resolve(target);
  const isModel = isSource || (await findModelFile(target)) !== undefined;
  if (NOT_MODELS.has(path.basename(target)) || (isTaken && !isModel)) {
    throw new ModelError('SPEC_INVALID', `${target} is not a model, so it is not replaced: use another --name`);
  }
  if (isTaken && !replace) throw new ModelError('SPEC_INVALID', `${target} exists: use --replace, or another --name`);
  return isTaken;
}

/**
 * On another file system than the state a rename would fail: copied next to the target first, then renamed.
 * @param keepOthers keep other files of the folder that it replaces: it is the source, with whatever its owner has in it
 */
async function moveIntoPlace(modelDir: string, target: string, exists: boolean, keepOthers: boolean): Promise<void> {
  const beside = await createStaging(path.dirname(target));
  try {
    await cp(modelDir, beside, { recursive: true });
    await (exists ? replaceFolder(beside, target, keepOthers) : rename(beside, target)).catch(
      (cause: NodeJS.ErrnoException) => {
        if (!/^(ENOTEMPTY|EEXIST)$/.test(cause.code ?? '')) throw cause;
        const message = `${target} was written by another command in the meantime: use --replace, or another --name`;
        throw new ModelError('SPEC_INVALID', message, { cause });
      },
    );
  } finally {
    await rm(beside, { recursive: true, force: true });
  }
}

/** Whether a source is a folder, or in it. */
function isWithin(source: string, folder: string): boolean {
  return `${path.resolve(source)}${path.sep}`.startsWith(`${path.resolve(folder)}${path.sep}`);
}
