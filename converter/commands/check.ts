import path from 'node:path';
import { listOutputs } from '@inferql/queue/outputs';
import type { OutputArray } from '@inferql/worker/engines/output-arrays';
import { ModelError } from '../errors.ts';
import { wayOut } from '../export-advice.ts';
import { readSample } from '../files/sample-images.ts';
import { type PreparedModel, prepareModel } from '../prepared-model.ts';
import { describeOddFolders } from '../repository/unserved-folders.ts';
import type { PreparedOutput } from '../spec/output-spec.ts';
import { type Batching, findBatching } from './batch-check.ts';
import { type CommandContext, listModels, listSamples, requireModel } from './command-context.ts';
import { openTrial, type TrialAnswer } from './trial.ts';

const SHOWN_LABELS = 3;

/**
 * Prepares models and runs each on the samples.
 * @returns how many of them cannot be served
 * @throws ModelError ARGUMENT_INVALID if a name is not that of a model
 */
export async function checkModels(names: readonly string[], context: CommandContext): Promise<number> {
  const { modelsDir, stateDir, signal } = context;
  const modelDirs = new Map<string, string>();
  for (const name of names.length > 0 ? names : await listModels(modelsDir))
    modelDirs.set(name, await requireModel(modelsDir, name));
  let failed = 0;
  for (const [name, modelDir] of modelDirs) {
    try {
      const model = await prepareModel({ modelDir, stateDir, signal });
      context.print(`${name} ${model.version}: ${model.classCount} classes`);
      const batching = await tryModel(model, context);
      if (batching.isSingle && model.spec.batching.maxBatchSize > 1) {
        throw new ModelError('SPEC_INVALID', `batching.maxBatchSize: expected 1, since ${batching.why}`);
      }
    } catch (error) {
      if (!(error instanceof ModelError) || error.code === 'CANCELED') throw error;
      failed++;
      context.print(`${name} cannot be served: ${error.message}`);
    }
  }
  if (names.length === 0) for (const line of await describeOddFolders(modelsDir)) context.print(line);
  return failed;
}

/**
 * Runs a model on the repository's samples and prints its best labels.
 * @param isActivationGuess whether nothing but its numbers shows what they are
 * @returns whether it can run several images at once
 * @throws ModelError SOURCE_INVALID if it does not run, or its answers are not probabilities, or are others each time
 */
export async function tryModel(
  model: PreparedModel,
  context: CommandContext,
  { isActivationGuess = false } = {},
): Promise<Batching> {
  const { print } = context;
  const trial = await openTrial(model, context);
  try {
    const files = await listSamples(context);
    if (files.length === 0) print('  there are no samples to try it on: check its results yourself');
    const samples: Uint8Array[] = [];
    const answers: Float32Array[] = [];
    for (const file of files) {
      const pixels = await readSample(file, model.spec.input);
      samples.push(pixels);
      const answer = await trial.run(pixels);
      checkAnswer(answer, model);
      answers.push(answer.probabilities);
      print(`  ${path.basename(file)}: ${describeLabels(answer, model)}`);
      for (const output of model.outputs) {
        print(`    ${output.name}: ${describeOutput(output, answer.outputs[output.name] ?? new Float32Array())}`);
      }
    }
    const doubt = isActivationGuess ? doubtLogit(answers, model) : undefined;
    if (doubt !== undefined) print(`  ${doubt}`);
    const [first = noise(model, 0), second = noise(model, 1)] = samples;
    if (files.length === 0) checkAnswer(await trial.run(first), model);
    return await findBatching(trial, [first, second], model);
  } catch (cause) {
    if (cause instanceof ModelError) throw cause;
    throw new ModelError('SOURCE_INVALID', `it does not run: ${(cause as Error).message}`, { cause });
  } finally {
    await trial.close();
  }
}

/** A logit of more is a certainty that no model has of every image. */
const HIGH_LOGIT = 12;

/** Why the one number that a model gives is hardly the logit of two classes; undefined if it may be. */
function doubtLogit(answers: readonly Float32Array[], { labels, spec }: PreparedModel): string | undefined {
  if (labels.length !== 2 || spec.output.activation !== 'logits-sigmoid' || answers.length < 2) return undefined;
  const all = (isOdd: (second: number) => boolean) => answers.every(([, second = 0]) => isOdd(second));
  const sigmoid = (logit: number) => 1 / (1 + Math.exp(-logit));
  const what = 'the number that it gives for each sample is';
  if (all((second) => second > sigmoid(HIGH_LOGIT))) {
    return `${what} above ${HIGH_LOGIT}: it is a quantity, such as an age, rather than a logit`;
  }
  return all((second) => second >= 0.5 - 1e-6 && second <= sigmoid(1) + 1e-6)
    ? `${what} within 0..1: if it is a probability already, give --activation sigmoid`
    : undefined;
}

function describeLabels({ probabilities }: TrialAnswer, { labels, outputs }: PreparedModel): string {
  return labels.length === 0 ? `no labels; outputs: ${listOutputs(outputs)}` : describeBest(probabilities, labels);
}

/** The best labels, so that a wrong normalization or order of classes is seen. */
function describeBest(values: OutputArray, labels: readonly string[]): string {
  const order = [...values.keys()].sort((a, b) => (values[b] ?? 0) - (values[a] ?? 0)).slice(0, SHOWN_LABELS);
  return order.map((i) => `${labels[i]} ${((values[i] ?? 0) * 100).toFixed(1)} %`).join(', ');
}

function describeOutput(output: PreparedOutput, values: OutputArray): string {
  if (output.type === 'labels') return describeBest(values, output.labels ?? []);
  const numbers = Array.from(values);
  const list = numbers.slice(0, SHOWN_LABELS).map((value) => Number(value.toPrecision(3)));
  const length = Math.sqrt(numbers.reduce((sum, value) => sum + value * value, 0)).toPrecision(3);
  const what =
    output.type === 'embedding' ? `${output.size} numbers of length ${length}` : output.shape.join(' x ') || '1';
  return `${output.type}, ${what}: ${list.join(', ')}${numbers.length > list.length ? ', …' : ''}`;
}

function noise({ spec: { input } }: PreparedModel, seed: number): Uint8Array {
  const { width, height, channels } = input;
  return Uint8Array.from({ length: width * height * channels }, (_, i) => (i * (7919 + 2 * seed) + 31 * seed) % 251);
}

/** What an engine does not know well may give NaN: it is the first suspect. */
function describeCause({ onnxUnavailable, spec: { format } }: PreparedModel): string {
  if (onnxUnavailable === undefined || format === 'onnx' || format === 'module') {
    return 'check the normalization, and whether its weights are damaged';
  }
  return `only tfjs runs it, and may compute it wrongly, because ${onnxUnavailable}. ${wayOut(format, onnxUnavailable)}`;
}

function checkAnswer({ probabilities: values, outputs }: TrialAnswer, model: PreparedModel): void {
  const expected = model.labels.length;
  if (values.length !== expected) {
    throw new ModelError('SOURCE_INVALID', `it returns ${values.length} numbers for ${expected} labels`);
  }
  if (!values.every(Number.isFinite)) {
    throw new ModelError('SOURCE_INVALID', `it returns NaN or infinity: ${describeCause(model)}`);
  }
  for (const [name, numbers] of Object.entries(outputs)) {
    if (numbers.every((value) => Number.isFinite(value))) continue;
    throw new ModelError('SOURCE_INVALID', `its output ${name} has NaN or infinity: ${describeCause(model)}`);
  }
  if (!values.every((value) => value >= -1e-6 && value <= 1 + 1e-6)) {
    throw new ModelError(
      'SPEC_INVALID',
      `output.activation: ${model.spec.output.activation} returns numbers that are not probabilities; logits or logits-sigmoid may fit`,
    );
  }
}
