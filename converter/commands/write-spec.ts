/** Writes the spec of a model that is being added: what its files say, what the command line says, and what a person answers. */
import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import JSON5 from 'json5';
import { ModelError } from '../errors.ts';
import { type Inspection, inspectModel } from '../inspect/inspect.ts';
import type { Overrides } from '../inspect/overrides.ts';
import { type Ask, askLabels } from '../inspect/questions.ts';
import type { SourceWithoutLabels } from '../sources/obtain-source.ts';
import { pullSource } from '../sources/pull.ts';
import { readLabels, repeatedNames } from '../spec/labels.ts';
import { LABELS_FILE, type ModelSpec, parseSpec, SPEC_FILE } from '../spec/spec.ts';
import { type CommandContext, listSamples } from './command-context.ts';
import type { Hint } from './normalization-hints.ts';
import { createProgressPrinter } from './progress.ts';
import { confirmNormalization, printHints, UNSURE_NORMALIZATION } from './unsure-normalization.ts';

/** Of those that several classes have. */
const SHOWN_NAMES = 5;

/** What the command line says about a model. */
export interface SpecOptions extends Overrides {
  /** Labels: a file here, or, for an npm source, a path in the package. */
  labels?: string;
}

/**
 * Writes the spec, and the labels that it needs, into the model's folder.
 * @throws ModelError if the model cannot be read
 */
export async function writeSpec(
  source: SourceWithoutLabels,
  options: SpecOptions,
  modelDir: string,
  context: CommandContext,
  findHints: () => Promise<Hint[]>,
): Promise<void> {
  const inPackage = source.type === 'npm' ? options.labels : undefined;
  const labeled = inPackage === undefined ? source : { ...source, labels: inPackage };
  const folder = await pull(labeled, modelDir, context);
  const givenLabels =
    options.labels !== undefined && source.type !== 'npm' ? await readLabels(options.labels) : undefined;
  const found = await inspectModel(path.join(folder, source.model), options, {
    labels: givenLabels,
    images: await listSamples(context),
    ask: context.ask,
    scratch: path.dirname(modelDir),
    runner: context.runner,
  });
  if (found.normalizationIsGuess) {
    await printHints(found, context.print, findHints);
    if (context.ask) await confirmNormalization(found, context.ask);
  }
  const needsLabels = found.activation !== undefined && inPackage === undefined;
  const labels = needsLabels ? await chooseLabels(found, givenLabels, context.ask) : undefined;
  if (labels) await writeFile(path.join(modelDir, LABELS_FILE), `${JSON.stringify(labels, null, 2)}\n`);
  printFindings(found, labels ?? [], context.print);
  const text = `${JSON5.stringify(composeSpec(labeled, found, options), null, 2)}\n`;
  parseSpec(text, SPEC_FILE);
  await writeFile(path.join(modelDir, SPEC_FILE), text);
}

/** @returns the folder with the model's files */
async function pull(
  source: SourceWithoutLabels & { labels?: string },
  modelDir: string,
  { stateDir, signal, print }: CommandContext,
): Promise<string> {
  if (source.type !== 'npm') return modelDir;
  const model = path.basename(modelDir);
  const printProgress = createProgressPrinter(print);
  const { folder } = await pullSource({
    modelDir,
    source: { ...source, type: 'npm' } as ModelSpec['source'],
    format: source.model.endsWith('.onnx') ? 'onnx' : 'tfjs-layers',
    storeDir: path.resolve(stateDir, 'models', model),
    onProgress(doneBytes, totalBytes) {
      const done = { doneBytes, ...(totalBytes ? { totalBytes } : {}) };
      printProgress({ model, step: 'pull', message: `pulling ${model}`, ...done });
    },
    signal,
  });
  return folder;
}

function printFindings({ findings }: Inspection, labels: string[], print: CommandContext['print']): void {
  findings.print(print);
  if (findings.isGuess('normalization')) print(`  ${UNSURE_NORMALIZATION}`);
  const repeated = repeatedNames(labels);
  if (repeated.length > 0) {
    const list = repeated.slice(0, SHOWN_NAMES).join(', ');
    print(`  several classes have the same name (${list}): results distinguish them by \`index\``);
  }
}

/** The spec, as it is written. */
function composeSpec(source: SourceWithoutLabels, found: Inspection, { batch }: SpecOptions): object {
  const { format, input, activation, outputName, outputs } = found;
  const hasLabels = activation !== undefined;
  return {
    source: { ...source, ...(hasLabels && source.type === 'folder' ? { labels: LABELS_FILE } : {}) },
    format,
    input,
    output: hasLabels ? { activation, ...(outputName === undefined ? {} : { name: outputName }) } : {},
    ...(Object.keys(outputs).length === 0 ? {} : { outputs }),
    ...(batch === undefined ? {} : { batching: { maxBatchSize: batch } }),
  };
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
