import { readByteWeights, readEmbedded } from '../onnx-reader/embedded-preprocessing.ts';
import { normalizationOfRange } from '../onnx-reader/expected-values.ts';
import type { FirstLayer } from '../onnx-reader/first-layer.ts';
import type { InputTrace } from '../onnx-reader/input-trace.ts';
import { describeStatistics, readTrainedValues, type Statistics } from '../onnx-reader/trained-values.ts';
import type { NormalizationSpec } from '../spec/input-spec.ts';
import type { FrontReading } from './embedded-preprocessing/front-readings.ts';
import type { Findings } from './findings.ts';
import type { KerasFamily } from './layer-name-families.ts';
import { describeNormalization } from './overrides.ts';

export interface NormalizationEvidence {
  /** Undefined if the model could not be followed. */
  trace: InputTrace | undefined;
  /** What its answers to test images show, and its first convolution behind the operators that give them. */
  front?: { reading: FrontReading | undefined; firstLayer: FirstLayer | undefined } | undefined;
  /** As layers are named. */
  family: KerasFamily | undefined;
  channels: number;
  /** What is usual for models of which nothing else is known, and whose habit it is. */
  usual: { normalization: NormalizationSpec; why: string };
}

const CORRECTION = '--normalization, or --mean and --std';

/**
 * Guesses the input values of a model that does not state them. A guess is likely only if the first weights or the statistics of the first
 * batch normalization confirm it. Names and frameworks show what is usual, and people also train otherwise: published models of nsfwjs are
 * MobileNets on values that no MobileNet was made for.
 */
export function guessNormalization(given: NormalizationEvidence, findings: Findings): NormalizationSpec {
  const evidence = withoutColors(given);
  const { trace, front, family, usual } = evidence;
  if (trace?.trainedOn) return guessFromStatistics(trace.trainedOn, findings);
  const isUnchanged = front?.reading?.shows === 'nothing' && front.reading.keepsValues;
  const first = isUnchanged ? { firstLayer: front.firstLayer, steps: [] } : trace;
  const weights = first && readByteWeights(first);
  if (weights !== undefined) return guessFromWeights(weights, evidence, findings);
  const embedded = trace && readEmbedded(trace);
  const normalization = family?.normalization ?? usual.normalization;
  const named = family ? `usual for ${family.name}, as its layers are named` : usual.why;
  const why = embedded ? `the model itself ${embedded.does}` : named;
  findings.guessed('normalization', describeNormalization(normalization), `${why}; ${CORRECTION}`);
  return normalization;
}

/** A model that makes gray of its images takes none from whose colors means were subtracted, whatever is usual for the others. */
function withoutColors(evidence: NormalizationEvidence): NormalizationEvidence {
  const reading = evidence.front?.reading;
  if (reading?.shows !== 'nothing' || !reading.isGray) return evidence;
  const usual = {
    normalization: normalizationOfRange('unit', reading.order),
    why: 'the model itself makes images gray',
  };
  return { ...evidence, family: undefined, usual };
}

function guessFromStatistics(trainedOn: Statistics, findings: Findings): NormalizationSpec {
  const { normalization, isCertain } = readTrainedValues(trainedOn);
  const why = `its first batch normalization was trained on values of ${describeStatistics(trainedOn)}; ${CORRECTION}`;
  findings[isCertain ? 'likely' : 'guessed']('normalization', describeNormalization(normalization), why);
  return normalization;
}

function guessFromWeights(
  weights: 'bytes' | 'centered' | 'either',
  { family, channels }: NormalizationEvidence,
  findings: Findings,
): NormalizationSpec {
  const what = 'normalization';
  const isCaffe = family?.normalization === 'caffe';
  if (weights === 'bytes' && !isCaffe) {
    findings.likely(what, describeNormalization('none'), `its first weights are made for bytes; ${CORRECTION}`);
    return 'none';
  }
  // With a mean subtracted, neither the mean nor the order of the channels can be read.
  const isCentered = channels === 3 && (weights === 'centered' || (isCaffe && weights === 'either'));
  const normalization = isCentered ? 'caffe' : 'none';
  const named = family && isCaffe ? `, as is usual for ${family.name}` : '';
  const why = isCentered
    ? `its first weights are made for bytes minus their mean${named}, and do not show which mean, nor the order of channels`
    : 'its first weights are small enough for bytes, from which a mean may have been subtracted (caffe)';
  findings.guessed(what, describeNormalization(normalization), `${why}; --normalization, or --mean, --std and --order`);
  return normalization;
}
