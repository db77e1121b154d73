import { ELEMENT, type OnnxFacts } from '../onnx-reader/inputs-and-outputs.ts';
import type { ValueRange } from '../onnx-reader/quantized-ports.ts';
import type { NormalizationSpec } from '../spec/input-spec.ts';
import type { Preprocessing } from './companion-files.ts';
import {
  type ChosenNormalization,
  chooseEmbedded,
  refuseUnknown,
} from './embedded-preprocessing/embedded-normalization.ts';
import type { FrontReading } from './embedded-preprocessing/front-readings.ts';
import type { Findings } from './findings.ts';
import { findKerasFamily } from './layer-name-families.ts';
import { guessNormalization } from './normalization-guess.ts';
import { describeNormalization, type Overrides, overriddenNormalization } from './overrides.ts';

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
  const embedded = chooseEmbedded({ trace, front }, findings);
  if (embedded) return embedded;
  if (input.type === ELEMENT.uint8 || input.type === ELEMENT.int32 || input.type === ELEMENT.int64) {
    findings.read('normalization', describeNormalization('none'), `it takes ${input.typeName}`);
    return take('none');
  }
  const ranged = facts.range && normalizationOfRange(facts.range);
  if (ranged !== undefined) {
    findings.read('normalization', describeNormalization(ranged), 'the range of its quantized input');
    return take(ranged);
  }
  if (preprocessing?.normalization !== undefined) {
    const { normalization, normalizationDefault, from } = preprocessing;
    findings.written('normalization', describeNormalization(normalization), from, normalizationDefault);
    return { normalization, isGuess: normalizationDefault !== undefined };
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

/** How far a range may be from the usual one: quantized zeros are whole numbers, and ranges those of calibration. */
const SLACK = 0.02;

/** Undefined if the range is none of the usual ones. */
function normalizationOfRange({ low, high }: ValueRange): NormalizationSpec | undefined {
  const isNear = (lowest: number, highest: number) => {
    const slack = (highest - lowest) * SLACK;
    return Math.abs(low - lowest) <= slack && Math.abs(high - highest) <= slack;
  };
  if (isNear(0, 255)) return 'none';
  if (isNear(0, 1)) return 'unit';
  return isNear(-1, 1) ? 'tf' : undefined;
}
