import path from 'node:path';
import { ModelError, UnsupportedOpError } from '../errors.ts';
import { wayOut } from '../export-advice.ts';
import type { ModelRunner } from '../model-process/model-runner.ts';
import { type InputTrace, traceInput } from '../onnx-reader/input-trace.ts';
import { findFront } from '../onnx-reader/model-front.ts';
import { buildGraph } from '../onnx-writer/convert-model.ts';
import type { OnnxGraph } from '../onnx-writer/graph/graph.ts';
import { findWholeType } from '../onnx-writer/image-input.ts';
import { normalizationOf } from '../spec/normalization.ts';
import { type ModelSpec, parseSpec } from '../spec/spec.ts';
import { mayRunOnTfjs } from '../tfjs/keras-models-on-tfjs.ts';
import { isGraphModel, type ModelJson, readModelJson } from '../tfjs/manifest.ts';
import { readWeights, type Weight } from '../tfjs/weights.ts';
import { type Companions, readCompanions } from './companion-files.ts';
import { declareOutputs, refuseLabelFlags } from './declared-outputs.ts';
import {
  type ChosenNormalization,
  chooseEmbeddedOrWhole,
  refuseUnknown,
} from './embedded-preprocessing/embedded-normalization.ts';
import { probeConvertedFront } from './embedded-preprocessing/probe-front.ts';
import { Findings } from './findings.ts';
import { inspectOnnx } from './inspect-onnx.ts';
import { findKerasFamily } from './layer-name-families.ts';
import { guessNormalization, type NormalizationEvidence } from './normalization-guess.ts';
import {
  type Activation,
  describeLogits,
  describeNormalization,
  describeSingle,
  type Overrides,
  overriddenNormalization,
} from './overrides.ts';
import type { Ask } from './questions.ts';
import { chooseResizing } from './resizing.ts';
import { findChannels, findInputSizes, findSize } from './tfjs-input.ts';
import { chooseOutputs, describeOutputs, endingOf, requireNoEmbedding, requireScores } from './tfjs-outputs.ts';
import { traceGraphOf } from './trace-tfjs.ts';

export interface Inspection {
  format: ModelSpec['format'];
  input: ModelSpec['input'];
  /** Undefined for a model without labels. */
  activation: Activation | undefined;
  /** Of a model with several outputs. */
  outputName?: string | undefined;
  /** `outputs` of the spec. */
  outputs: Record<string, object>;
  /** Undefined if it is only known once an engine has run the model. */
  classCount: number | undefined;
  /** From the model or from files next to it. */
  labels: Companions['labels'];
  /** What its maker wrote into the file, in one line. */
  description?: string | undefined;
  /** A wrong normalization causes wrong results without an error. */
  normalizationIsGuess: boolean;
  /** What was read and what was guessed, for people. */
  findings: Findings;
}

export interface InspectionContext {
  /** Labels of the command line. */
  labels: string[] | undefined;
  /** Images to try a model on. */
  images: string[];
  /** Asks the person at the terminal, if there is one. */
  ask?: Ask | undefined;
  /** A folder that may be written to. */
  scratch: string;
  runner: ModelRunner;
}

/**
 * Determines a model's spec from the model and the files next to it.
 * @throws ModelError if the model cannot be read
 */
export async function inspectModel(
  file: string,
  overrides: Overrides,
  context: InspectionContext,
): Promise<Inspection> {
  const companions = await readCompanions(path.dirname(file));
  return file.endsWith('.onnx')
    ? inspectOnnx(file, overrides, companions, context)
    : inspectTfjs(file, overrides, companions, context);
}

async function inspectTfjs(
  file: string,
  overrides: Overrides,
  companions: Companions,
  { ask, labels, runner }: InspectionContext,
): Promise<Inspection> {
  const findings = new Findings();
  const { preprocessing } = companions;
  const modelJson = await readModelJson(file);
  const sizes = findInputSizes(modelJson);
  const size = findSize(sizes, overrides, preprocessing, findings);
  const format = isGraphModel(modelJson) ? 'tfjs-graph' : 'tfjs-layers';
  const channels = findChannels(sizes, format, overrides, findings);
  const resizing = chooseResizing(overrides, preprocessing, { ...size, producer: producerOf(modelJson) }, findings);
  const draft = { ...size, channels, ...resizing, normalization: 'none' };
  const weights = await readWeights(modelJson, path.dirname(file));
  const explain = (error: Error): never => {
    if (!(error.cause instanceof UnsupportedOpError)) requireWeights(modelJson);
    throw error;
  };
  const { outputName, hasLabels, names, all } = await chooseOutputs(
    modelJson,
    () => describeOutputs(modelJson, weights, draftSpec(draft, format, undefined)),
    overrides,
    findings,
    ask,
  ).catch(explain);
  const spec = draftSpec(draft, format, outputName);
  const isGiven = overriddenNormalization(overrides) !== undefined;
  const outcome = await outcomeOf(modelJson, file, weights, spec, isGiven, runner).catch(explain);
  const answer = outputName ?? names[0] ?? '';
  const labelCount = (labels ?? companions.labels?.names)?.length;
  const classCount = outcome.sizes.reduce((a, b) => a * b, 1);
  if (hasLabels) {
    requireScores({ name: answer, sizes: outcome.sizes, isMeasured: 'uncovered' in outcome });
    const isNamed = overrides.output !== undefined || labelCount === classCount;
    if ('graph' in outcome && !isNamed) requireNoEmbedding(answer, outcome.graph);
  }
  const chosen = normalizationFor(modelJson, outcome, channels, overrides, companions, findings, ask !== undefined);
  const inspection = {
    format,
    input: { ...spec.input, normalization: chosen.normalization },
    normalizationIsGuess: chosen.isGuess,
    findings,
  } as const;
  if (!hasLabels) {
    refuseLabelFlags({ ...overrides, labels });
    const outputs = await declareOutputs(overrides.outputs, all, findings);
    return { ...inspection, activation: undefined, outputs, classCount: 0, labels: undefined };
  }
  reportActivation(outcome, { name: answer, hasNames: labelCount !== undefined }, overrides, findings);
  findings.read('classes', String(classCount), "the model's output");
  const others = all.filter(({ name }) => name !== outputName);
  const outputs = await declareOutputs(overrides.outputs, others, findings);
  return {
    ...inspection,
    activation: overrides.activation ?? outcome.activation,
    outputName,
    outputs,
    classCount,
    labels: companions.labels,
  };
}

function reportActivation(
  outcome: Outcome,
  { name, hasNames }: { name: string; hasNames: boolean },
  overrides: Overrides,
  findings: Findings,
): void {
  const { activation } = outcome;
  if (overrides.activation !== undefined) findings.given('activation', overrides.activation, '--activation');
  else if ('graph' in outcome && activation.startsWith('logits')) {
    const what = activation === 'logits' ? describeLogits(name, hasNames) : describeSingle(name);
    if (outcome.isCertain) findings.likely('activation', activation, `its last operator; ${what}`);
    else findings.guessed('activation', activation, `--activation; ${what}`);
  } else if ('graph' in outcome) findings.read('activation', activation, 'its last operator');
  else findings.guessed('activation', 'softmax', `--activation; ${outcome.uncovered}: tfjs runs it, slowly`);
}

/** @throws ModelError SOURCE_INVALID for what TensorFlow.js saves without weights */
function requireWeights({ weightsManifest }: ModelJson): void {
  if (weightsManifest.some(({ weights }) => weights.length > 0)) return;
  throw new ModelError(
    'SOURCE_INVALID',
    'the model.json names no weights: save the model once more together with its weights, or add the .keras or .h5 file',
  );
}

/** Converted models name Keras or TensorFlow's version; those that were trained in a browser name TensorFlow.js. */
function producerOf(modelJson: ModelJson): string {
  if (isGraphModel(modelJson)) return 'tensorflow';
  return modelJson.generatedBy ?? (modelJson.convertedBy ? 'keras' : '');
}

function draftSpec(input: object, format: string, outputName: string | undefined): ModelSpec {
  const source = { type: 'folder', model: 'model.json', labels: 'labels.json' };
  const output = { activation: 'softmax', ...(outputName === undefined ? {} : { name: outputName }) };
  return parseSpec(JSON.stringify({ source, format, input, output }), 'the model');
}

type SeenFront = NonNullable<NormalizationEvidence['front']>;
type Outcome =
  | {
      graph: OnnxGraph;
      trace: InputTrace;
      front: SeenFront;
      activation: Activation;
      isCertain: boolean;
      sizes: readonly number[];
    }
  | { uncovered: string; activation: 'softmax'; sizes: readonly number[] };

/** What the converter makes of the model, not folded, so that the arithmetic in front can be read. */
async function outcomeOf(
  modelJson: ModelJson,
  file: string,
  weights: Map<string, Weight>,
  { input, output }: ModelSpec,
  isNormalizationGiven: boolean,
  runner: ModelRunner,
): Promise<Outcome> {
  try {
    const { graph, classCount, result } = buildGraph(modelJson, weights, input, output, false);
    const ending = endingOf(graph);
    const activation = classCount === 1 && ending.activation === 'logits' ? 'logits-sigmoid' : ending.activation;
    const traced = traceGraphOf(graph);
    const image = graph.inputs[0]?.name ?? '';
    const front = findFront(traced, image);
    const reading = front && !isNormalizationGiven ? await probeConvertedFront(graph, front, input, runner) : undefined;
    const seen = { reading, firstLayer: front?.firstLayer };
    return {
      graph,
      trace: traceInput(traced, image),
      front: seen,
      activation,
      isCertain: ending.certain,
      sizes: result.shape,
    };
  } catch (error) {
    if (!(error instanceof UnsupportedOpError)) throw error;
    if (!mayRunOnTfjs(modelJson)) {
      throw new ModelError('SOURCE_INVALID', `${error.message}. ${wayOut('tfjs-layers', error.message)}`, {
        cause: error,
      });
    }
    const sizes = await measureByTfjs(modelJson, file, { input, output }, error, runner);
    return { uncovered: error.message, activation: 'softmax', sizes };
  }
}

/** @throws ModelError SOURCE_INVALID if tfjs does not run it either */
async function measureByTfjs(
  modelJson: ModelJson,
  file: string,
  { input, output }: Pick<ModelSpec, 'input' | 'output'>,
  reason: UnsupportedOpError,
  runner: ModelRunner,
): Promise<readonly number[]> {
  const format = isGraphModel(modelJson) ? 'tfjs-graph' : 'tfjs-layers';
  const { activation, name: outputName } = output;
  const tfjs = { path: file, format, normalization: normalizationOf(input), activation, outputName } as const;
  return runner.answerSizes(tfjs, input).catch((cause: Error) => {
    if (cause instanceof ModelError) throw cause;
    const message = `no engine runs it: onnxruntime: ${reason.message}; wasm: ${cause.message}. ${wayOut(format, reason.message)}`;
    throw new ModelError('SOURCE_INVALID', message, { cause });
  });
}

function normalizationFor(
  modelJson: ModelJson,
  outcome: Outcome,
  channels: number,
  overrides: Overrides,
  { preprocessing }: Companions,
  findings: Findings,
  canAsk: boolean,
): ChosenNormalization {
  const what = 'normalization';
  const given = overriddenNormalization(overrides);
  if (given !== undefined) {
    findings.given(what, describeNormalization(given), 'the command line');
    return { normalization: given, isGuess: false };
  }
  const { trace, front } = 'trace' in outcome ? outcome : {};
  const arithmetic = { trace, front: front?.reading };
  // What a file next to the model names may be inside the model: it must not be done twice.
  const embedded = chooseEmbeddedOrWhole(arithmetic, findWholeType(modelJson), findings);
  if (embedded) return embedded;
  if (preprocessing?.normalization !== undefined) {
    const { normalization, normalizationDefault } = preprocessing;
    findings.written(what, describeNormalization(normalization), preprocessing.from, normalizationDefault);
    return { normalization, isGuess: normalizationDefault !== undefined };
  }
  refuseUnknown(arithmetic, canAsk);
  const family = findKerasFamily(JSON.stringify(modelJson.modelTopology));
  const usual = { normalization: 'unit', why: 'nothing in the model says it' } as const;
  return { normalization: guessNormalization({ trace, front, family, channels, usual }, findings), isGuess: true };
}
