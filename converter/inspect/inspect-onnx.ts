import path from 'node:path';
import { ModelError } from '../errors.ts';
import type { AnswerOutput } from '../onnx-reader/answer-outputs.ts';
import { type ChosenOutput, chooseOutput } from '../onnx-reader/choose-output.ts';
import {
  isDetector,
  isNamedEmbedding,
  refuseDetector,
  refuseEmbedding,
} from '../onnx-reader/detectors-and-embeddings.ts';
import { type OnnxFacts, readFacts } from '../onnx-reader/inputs-and-outputs.ts';
import { describeSizes, ELEMENT, NUMBER_TYPES } from '../onnx-reader/ports.ts';
import { readOnnx } from '../onnx-reader/read-without-weights.ts';
import { type ModelSpec, parseSpec } from '../spec/spec.ts';
import type { Companions, Preprocessing, Problem } from './companion-files.ts';
import { declareOutputs, namesForLabels, type OtherOutput, refuseLabelFlags } from './declared-outputs.ts';
import { probeFileFront } from './embedded-preprocessing/probe-front.ts';
import { Findings } from './findings.ts';
import type { Inspection, InspectionContext } from './inspect.ts';
import { readOnnxMetadata } from './onnx-metadata.ts';
import { chooseOnnxNormalization } from './onnx-normalization.ts';
import {
  type Activation,
  describeLogits,
  describeSingle,
  type Overrides,
  overriddenNormalization,
} from './overrides.ts';
import { activationOfRows, areUnitVectors, type Probe, probeOnnx, scaledSumOf } from './probe-onnx.ts';
import { type Ask, askOutput } from './questions.ts';
import { chooseResizing, DEFAULT_SIDE } from './resizing.ts';

/**
 * Determines the spec of an ONNX file, from the file, from files next to it, and by running it.
 * @throws ModelError SOURCE_INVALID, SPEC_INVALID
 */
export async function inspectOnnx(
  file: string,
  overrides: Overrides,
  companions: Companions,
  context: InspectionContext,
): Promise<Inspection> {
  const findings = new Findings();
  const decoded = readOnnx(file);
  const facts = readFacts(decoded, file, overrides);
  const embeddedMetadata = readOnnxMetadata(facts.metadata);
  const labels = embeddedMetadata.labels ?? companions.labels;
  const preprocessing = companions.preprocessing ?? embeddedMetadata.preprocessing;
  const labelCount = (context.labels ?? labels?.names)?.length;
  const chosen = await choose(facts, overrides, labelCount, findings, context.ask);
  const input = inputOf(facts, overrides, preprocessing, findings);
  const isGiven = overriddenNormalization(overrides) !== undefined;
  const front = isGiven ? undefined : await probeFileFront(decoded, facts, input, file, context.runner);
  const arithmetic = { front, canAsk: context.ask !== undefined };
  const { normalization, isGuess } = chooseOnnxNormalization(facts, overrides, preprocessing, findings, arithmetic);
  const name = chosen?.output.name;
  const spec = draftSpec({ ...input, normalization }, name, path.basename(file));
  const inspection = {
    format: 'onnx',
    input: spec.input,
    description: facts.description,
    normalizationIsGuess: isGuess,
    findings,
  } as const;
  if (!chosen) {
    refuseLabelFlags({ ...overrides, labels: context.labels });
    const outputs = await declareOutputs(overrides.outputs, facts.outputs.map(toOther), findings);
    return { ...inspection, activation: undefined, outputs, classCount: 0, labels: undefined };
  }
  const probe = await probeOnnx(file, spec, context);
  if (overrides.output === undefined && labelCount !== probe.classCount) requireNoEmbedding(chosen, probe);
  const hasNames = labelCount !== undefined;
  const activation = activationFor(chosen, overrides, probe, companions.problem, hasNames, findings);
  findings.read('classes', String(probe.classCount), `output ${name}`);
  const others = facts.outputs.filter((output) => output.name !== name).map(toOther);
  const outputs = await declareOutputs(overrides.outputs, others, findings);
  return {
    ...inspection,
    activation,
    outputName: facts.outputs.length > 1 ? name : undefined,
    outputs,
    classCount: probe.classCount,
    labels,
  };
}

/** @throws ModelError SPEC_INVALID */
function requireNoEmbedding({ output }: ChosenOutput, { rows, classCount }: Probe): void {
  const { name, ending } = output;
  const isNamed = isNamedEmbedding(name);
  if (!isNamed && (ending.activation !== 'logits' || !areUnitVectors(rows))) return;
  const why = isNamed ? 'its name says so' : 'the vectors that it gives have the length 1';
  refuseEmbedding(name, why, output.classCount === undefined ? classCount : undefined);
}

async function choose(
  facts: OnnxFacts,
  overrides: Overrides,
  labelCount: number | undefined,
  findings: Findings,
  ask: Ask | undefined,
): Promise<ChosenOutput | undefined> {
  const names = facts.outputs.map(({ name }) => name);
  const left = namesForLabels(names, overrides.outputs, overrides.output);
  if (left.length === 0) return undefined;
  const candidates = facts.outputs.filter(({ name }) => left.includes(name));
  if (overrides.output === undefined) {
    const detects = isDetector(names);
    // Whoever names some outputs of a model that does not classify wants no others.
    const isUnlabeled = detects || candidates.every(({ unfit }) => unfit !== undefined);
    if (isUnlabeled && overrides.outputs !== undefined) return undefined;
    if (detects) refuseDetector(candidates.map(toSized));
  }
  const chosen = chooseOutput(candidates, overrides.output, labelCount);
  const { output, certain, why } = chosen;
  if (overrides.output !== undefined) findings.given('output', output.name, '--output');
  else if (certain) findings.read('output', output.name, why);
  else {
    const fit = candidates
      .filter(({ unfit }) => unfit === undefined)
      .map(({ name, sizes }) => ({ name, shape: describeSizes(sizes) }));
    if (!ask) {
      const names = fit.map(({ name, shape }) => `${name} (${shape})`).join(', ');
      const message = `--output: the ONNX file has the outputs ${names}: name the one with the scores; --outputs serves others in addition`;
      throw new ModelError('SPEC_INVALID', message);
    }
    const name = await askOutput(ask, fit);
    findings.given('output', name, 'your answer');
    return chooseOutput(candidates, name);
  }
  return chosen;
}

function toSized({ name, imageSizes, sizes }: AnswerOutput) {
  return { name, sizes: imageSizes, shown: describeSizes(sizes) };
}

function toOther({ name, type, imageSizes, ending }: AnswerOutput): OtherOutput {
  const isWhole = type === ELEMENT.int32 || type === ELEMENT.int64;
  return {
    name,
    shape: imageSizes,
    dtype: isWhole ? 'int32' : type === ELEMENT.uint8 ? 'uint8' : 'float32',
    activation: ending.activation,
    activationIsCertain: ending.certain,
    unfit: NUMBER_TYPES.has(type) ? undefined : 'is not a tensor of numbers',
  };
}

function inputOf(
  { input, producer }: OnnxFacts,
  overrides: Overrides,
  preprocessing: Preprocessing | undefined,
  findings: Findings,
) {
  const width = overrides.width ?? input.width ?? preprocessing?.width ?? DEFAULT_SIDE;
  const height = overrides.height ?? input.height ?? preprocessing?.height ?? DEFAULT_SIDE;
  const size = `${width} x ${height}`;
  if (overrides.width !== undefined || overrides.height !== undefined)
    findings.given('size', size, '--width, --height');
  else if (input.width !== undefined && input.height !== undefined) findings.read('size', size, `input ${input.name}`);
  else if (preprocessing?.width !== undefined) findings.read('size', size, preprocessing.from);
  else findings.guessed('size', size, 'the file leaves it open: --width, --height');
  const channels = overrides.channels ?? input.channels ?? 3;
  if (channels !== 1 && channels !== 3 && channels !== 4) {
    const shape = describeSizes(input.sizes);
    throw new ModelError(
      'SOURCE_INVALID',
      `the ONNX file takes ${shape}, which are images with ${channels} channels: expected 1, 3 or 4; --layout says where they are`,
    );
  }
  const layout = `${channels}, ${input.layout}, ${input.typeName}`;
  if (overrides.layout !== undefined || overrides.channels !== undefined)
    findings.given('channels', layout, '--channels, --layout');
  else if (input.layoutIsCertain && input.channels !== undefined)
    findings.read('channels', layout, `input ${input.name}`);
  else findings.guessed('channels', layout, 'the file leaves them open: --channels, --layout');
  if (input.batch !== undefined)
    findings.read('batch', `${input.batch}, fixed`, `images are run ${input.batch} at a time, on several threads`);
  const resizing = chooseResizing(overrides, preprocessing, { producer, width, height }, findings);
  return {
    width,
    height,
    channels,
    ...resizing,
    ...(overrides.layout || !input.layoutIsCertain ? { layout: input.layout } : {}),
  };
}

function draftSpec(input: object, outputName: string | undefined, file: string): ModelSpec {
  const source = { type: 'folder', model: file, labels: 'labels.json' };
  const output = { activation: 'softmax', ...(outputName === undefined ? {} : { name: outputName }) };
  const draft = { source, format: 'onnx', input, output };
  return parseSpec(JSON.stringify(draft), 'the model');
}

/**
 * Trusts the end of the graph unless the numbers contradict it.
 * @throws ModelError SPEC_INVALID for a model of quantities
 */
function activationFor(
  { output }: ChosenOutput,
  overrides: Overrides,
  probe: Probe,
  problem: Problem | undefined,
  hasNames: boolean,
  findings: Findings,
): Activation {
  if (overrides.activation !== undefined) {
    findings.given('activation', overrides.activation, '--activation');
    return overrides.activation;
  }
  const { ending } = output;
  const isSingle = probe.classCount === 1;
  const logits = isSingle ? ('logits-sigmoid' as const) : ('logits' as const);
  const named = ending.activation === 'logits' ? logits : isSingle ? ('sigmoid' as const) : ending.activation;
  if (problem?.type === 'regression' && named === logits) {
    const size = output.classCount === undefined ? `:${probe.classCount}` : '';
    throw new ModelError(
      'SPEC_INVALID',
      `the output ${output.name} has quantities and not scores, as ${problem.from} says: --outputs ${output.name}=embedding${size} serves them unchanged`,
    );
  }
  if (problem?.type === 'multi-label' && named === logits) {
    findings.read('activation', 'logits-sigmoid', problem.from);
    return 'logits-sigmoid';
  }
  if (isSingle && ending.activation === 'logits') {
    findings.likely('activation', named, describeSingle(output.name, output.classCount !== undefined));
    return named;
  }
  if (ending.certain) {
    const why = `the graph ends in ${ending.op}`;
    if (named === 'logits') findings.likely('activation', named, `${why}; ${describeLogits(output.name, hasNames)}`);
    else findings.read('activation', named, why);
    return named;
  }
  const sum = scaledSumOf(probe.rows);
  if (sum !== undefined) {
    throw new ModelError(
      'SOURCE_INVALID',
      `the scores that it gives for each image sum to ${Number(sum.toPrecision(4))}, as percentages do: export it with probabilities, which sum to 1`,
    );
  }
  const seen = activationOfRows(probe.rows);
  if (seen === 'softmax') {
    findings.read('activation', 'softmax', 'its answers to the samples are above 0 and sum to 1');
    return 'softmax';
  }
  if (seen === 'logits') {
    const why = 'its answers to the samples are outside of 0..1';
    if (logits === 'logits') findings.likely('activation', logits, `${why}; ${describeLogits(output.name, hasNames)}`);
    else findings.read('activation', logits, why);
    return logits;
  }
  findings.guessed('activation', 'sigmoid', 'its answers are within 0..1, and their sum is not 1: --activation');
  return 'sigmoid';
}
