import type { OnnxFacts } from '../onnx-reader/inputs-and-outputs.ts';
import { ELEMENT } from '../onnx-reader/ports.ts';
import type { NormalizationSpec } from '../spec/input-spec.ts';
import type { Preprocessing } from './companion-files.ts';
import {
  type ChosenNormalization,
  chooseEmbeddedOrWhole,
  refuseUnknown,
} from './embedded-preprocessing/embedded-normalization.ts';
import type { FrontReading } from './embedded-preprocessing/front-readings.ts';
import type { Findings } from './findings.ts';
import { findKerasFamily } from './layer-name-families.ts';
import { guessNormalization } from './normalization-guess.ts';
import { describeNormalization, type Overrides, overriddenNormalization } from './overrides.ts';
import { describeRange, normalizationOfCalibration, normalizationOfPort } from './quantized-range.ts';

/**
 * Which values an ONNX file takes: as the command line, its arithmetic, files next to it, its first weights or its names say, or a guess.
 * @param canAsk whether a person can answer instead
 * @throws ModelError SPEC_INVALID if nothing says it, and the model's arithmetic shows that a guess would be wrong
 */
export function chooseOnnxNormalization(
  facts: OnnxFacts,
  overrides: Overrides,
  preprocessing: Preprocessing | undefined,
  findings: Findings,
  { front, canAsk }: { front: FrontReading | undefined; canAsk: boolean } = { front: undefined, canAsk: true },
): ChosenNormalization {
  const { input, trace } = facts;
  const take = (normalization: NormalizationSpec) => ({ normalization, isGuess: false });
  const given = overriddenNormalization(overrides);
  if (given !== undefined) {
    findings.given('normalization', describeNormalization(given), 'the command line');
    return take(given);
  }
  const isWhole = input.type === ELEMENT.uint8 || input.type === ELEMENT.int32 || input.type === ELEMENT.int64;
  const embedded = chooseEmbeddedOrWhole({ trace, front }, isWhole ? input.typeName : undefined, findings);
  if (embedded) return embedded;
  const ranged = facts.range && normalizationOfPort(facts.range);
  if (ranged !== undefined) {
    findings.read('normalization', describeNormalization(ranged), 'the range of its quantized input');
    return take(ranged);
  }
  if (preprocessing?.normalization !== undefined) {
    const { normalization, normalizationDefault, from } = preprocessing;
    findings.written('normalization', describeNormalization(normalization), from, normalizationDefault);
    return { normalization, isGuess: normalizationDefault !== undefined };
  }
  const calibrated = facts.calibrated && normalizationOfCalibration(facts.calibrated);
  if (facts.calibrated && calibrated !== undefined) {
    const why = `it was quantized for values from ${describeRange(facts.calibrated)}; --normalization, or --mean and --std`;
    findings.likely('normalization', describeNormalization(calibrated), why);
    return { normalization: calibrated, isGuess: true };
  }
  refuseUnknown({ trace, front }, canAsk);
  const channels = overrides.channels ?? input.channels ?? 3;
  // Other frameworks name and train the same families differently.
  const isKeras = /tf2onnx|keras/i.test(facts.producer);
  const isPytorch = !isKeras && /pytorch/i.test(facts.producer);
  const family = isKeras ? findKerasFamily(facts.nodeNames.join('\n')) : undefined;
  const isTorch = channels === 3 && !isKeras && (isPytorch || input.layout === 'nchw');
  const why = isTorch && isPytorch ? 'usual for PyTorch, which wrote it' : 'nothing in the file says it';
  const usual = { normalization: isTorch ? ('torch' as const) : ('unit' as const), why };
  const seen = { reading: front, firstLayer: facts.front?.firstLayer };
  return {
    normalization: guessNormalization({ trace, front: seen, family, channels, usual }, findings),
    isGuess: true,
  };
}
