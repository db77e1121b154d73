/** The normalization that a model does itself, which nobody must do again outside. */
import { ModelError } from '../../errors.ts';
import { type EmbeddedPreprocessing, readEmbedded } from '../../onnx-reader/embedded-preprocessing.ts';
import type { InputTrace } from '../../onnx-reader/input-trace.ts';
import type { NormalizationSpec } from '../../spec/input-spec.ts';
import { Findings } from '../findings.ts';
import { describeNormalization } from '../overrides.ts';
import type { FrontReading } from './front-readings.ts';

/** A normalization, and whether somebody should confirm it. */
export interface ChosenNormalization {
  normalization: NormalizationSpec;
  isGuess: boolean;
}

/** What a model's arithmetic shows: as its operators read, and as its answers to test images say. */
export interface ModelArithmetic {
  /** Undefined if the model could not be followed. */
  trace: InputTrace | undefined;
  /** Undefined if the model does nothing before its first learned operator, or if that does not run alone. */
  front: FrontReading | undefined;
}

/**
 * Chooses what a model's own arithmetic shows.
 * @returns undefined if it shows nothing
 */
function chooseEmbedded(arithmetic: ModelArithmetic, findings: Findings): ChosenNormalization | undefined {
  const embedded = embeddedOf(arithmetic);
  if (embedded?.normalization !== undefined) return reportEmbedded(embedded, embedded.normalization, findings);
  const { front } = arithmetic;
  if (front?.shows !== 'any factor') return undefined;
  const what = 'normalization';
  if (front.isExact) {
    const why = 'the model itself divides each image by its deviation, so that a factor makes no difference';
    findings.read(what, describeNormalization('none'), why);
    return { normalization: 'none', isGuess: false };
  }
  const why =
    'the model itself divides each image by its deviation and an epsilon; for bytes, which give nearly the same: --normalization none';
  findings.likely(what, describeNormalization('unit'), why);
  return { normalization: 'unit', isGuess: true };
}

/**
 * Chooses the same of a model that may take whole numbers, of which its arithmetic shows the order of the channels alone.
 * @param wholeType of these numbers, such as uint8
 */
export function chooseEmbeddedOrWhole(
  arithmetic: ModelArithmetic,
  wholeType: string | undefined,
  findings: Findings,
): ChosenNormalization | undefined {
  if (wholeType === undefined) return chooseEmbedded(arithmetic, findings);
  const shown = new Findings();
  const embedded = chooseEmbedded(arithmetic, shown);
  if (embedded && isOfBytes(embedded.normalization)) {
    findings.rows.push(...shown.rows);
    return embedded;
  }
  findings.read('normalization', describeNormalization('none'), `it takes ${wholeType}`);
  return { normalization: 'none', isGuess: false };
}

function isOfBytes(normalization: NormalizationSpec): boolean {
  if (typeof normalization === 'string') return normalization === 'none';
  const { scale, mean, std } = normalization;
  return scale === 1 && mean.every((value) => value === 0) && std.every((value) => value === 1);
}

function embeddedOf({ trace, front }: ModelArithmetic): EmbeddedPreprocessing | undefined {
  const read = trace && readEmbedded(trace);
  if (front?.shows !== 'values') return read;
  const isSame = JSON.stringify(read?.normalization) === JSON.stringify(front.normalization);
  // Operators are easier to recognize than ranges.
  return isSame && read ? { ...read, isOrderOpen: front.isOrderOpen } : front;
}

/** How to say that blue comes first. */
const FLAGS_OF_BLUE = new Map<NormalizationSpec, string>([
  ['none', '--scale 1 --order bgr'],
  ['unit', '--order bgr'],
]);

function reportEmbedded(
  { isOrderOpen, does }: EmbeddedPreprocessing,
  normalization: NormalizationSpec,
  findings: Findings,
): ChosenNormalization {
  const value = describeNormalization(normalization);
  if (!isOrderOpen) findings.read('normalization', value, `the model itself ${does}`);
  else {
    const flags = FLAGS_OF_BLUE.get(normalization) ?? '--mean, --std and --order bgr';
    const why = `the model itself ${does}, and does not show which of them it takes first; for blue: ${flags}`;
    findings.guessed('normalization', value, why);
  }
  return { normalization, isGuess: isOrderOpen };
}

/**
 * Refuses to guess the normalization of a model that changes its input in a way that shows no usual range.
 * @param canAsk whether a person can answer instead
 * @throws ModelError SPEC_INVALID
 */
export function refuseUnknown({ trace, front }: ModelArithmetic, canAsk: boolean): void {
  if (front?.shows !== 'unknown' || trace?.trainedOn || canAsk) return;
  throw new ModelError(
    'SPEC_INVALID',
    `--normalization: the model itself ${front.does}, which does not show the values that it takes: pass none for 0..255, unit for 0..1, tf for -1..1, torch for ImageNet's mean and deviation, or --mean and --std`,
  );
}
