import type { NormalizationSpec } from '../spec/input-spec.ts';
import type { InputTrace } from './input-trace.ts';

/** What must still be done to an image outside a model that contains preprocessing. */
export interface EmbeddedPreprocessing {
  /** Undefined if the arithmetic fits none of the usual ranges of values. */
  normalization: NormalizationSpec | undefined;
  /** For people: what the model does. */
  does: string;
}

/** Models are trained on values of about this size. */
const LARGEST_VALUE = 8;
const SMALLEST_SPAN = 0.2;

/** Weights of a model that was trained on values around 1 are well above this. */
const SPREAD_FOR_BYTES = 0.01;
/** The mean of the bytes of images, roughly. */
const [DARKEST_MEAN, BRIGHTEST_MEAN] = [60, 190];
/** Offsets of a layer without batch normalization begin at 0, and stay near it. */
const SPREAD_OF_NORMALIZED = 0.1;

/**
 * Which values the first weights are for, if they are as small as those for bytes. A division by 255 may have been folded into them when the model
 * was exported, or the model takes bytes from which the mean was subtracted before.
 * - `bytes`: its offsets show that it was trained on the mean of images
 * - `centered`: they show that it was trained on values around 0
 * - `either`: they show nothing
 * @returns undefined if the weights are not that small, which shows nothing, or if the model does arithmetic before them
 */
export function readByteWeights({ firstLayer, steps }: InputTrace): 'bytes' | 'centered' | 'either' | undefined {
  if (steps.length > 0 || !firstLayer) return undefined;
  const { weightSpread, offsetSpread, inputMean } = firstLayer;
  if (!(weightSpread > 0 && weightSpread < SPREAD_FOR_BYTES)) return undefined;
  if (!inputMean || offsetSpread < SPREAD_OF_NORMALIZED) return 'either';
  const [low, high] = [inputMean.value - 2 * inputMean.error, inputMean.value + 2 * inputMean.error];
  if (low > 0 && inputMean.value > DARKEST_MEAN && inputMean.value < BRIGHTEST_MEAN) return 'bytes';
  return low > -DARKEST_MEAN && high < DARKEST_MEAN ? 'centered' : 'either';
}

/**
 * Reads from a model's arithmetic which values it expects: one that divides by 255 expects bytes.
 * @returns undefined if the model does nothing before its first weights
 */
export function readEmbedded(trace: InputTrace): EmbeddedPreprocessing | undefined {
  if (trace.steps.length === 0) return undefined;
  return { normalization: expectedValues(trace), does: trace.steps.join(', ') };
}

/** Bytes whose first channel is blue, as OpenCV reads them. */
const BLUE_FIRST: NormalizationSpec = { scale: 1, mean: [0], std: [1], order: 'bgr' };
/** ImageNet's means of blue and red. */
const [BLUE, RED] = [103.939, 123.68];

function expectedValues({ factor, shift, reversesChannels }: InputTrace): EmbeddedPreprocessing['normalization'] {
  // An exchange of channels alone shows no range.
  if (factor.every((value) => value === 1) && shift.every((value) => value === 0)) return undefined;
  const channels = Math.max(factor.length, shift.length);
  const at = (values: number[], i: number) => values[values.length === 1 ? 0 : i] ?? 0;
  const range = (low: number, high: number) =>
    Array.from({ length: channels }, (_, i) => {
      const ends = [at(factor, i) * low + at(shift, i), at(factor, i) * high + at(shift, i)];
      return { low: Math.min(...ends), high: Math.max(...ends) };
    });
  const isUsual = (ranges: { low: number; high: number }[]) =>
    ranges.every(
      ({ low, high }) =>
        low >= -LARGEST_VALUE &&
        high <= LARGEST_VALUE &&
        high - low >= SMALLEST_SPAN &&
        high > 0 &&
        low < LARGEST_VALUE / 2,
    );
  const fromBytes = range(0, 255);
  // Means of ImageNet are subtracted, and nothing is divided: the habit of Caffe.
  const isCaffe = fromBytes.every(({ low, high }) => low <= -90 && low >= -135 && Math.abs(high - low - 255) < 1);
  const isBlueFirst = channels === 3 && Math.abs(at(shift, 0) + BLUE) < 1 && Math.abs(at(shift, 2) + RED) < 1;
  const isRedFirst = channels === 3 && Math.abs(at(shift, 0) + RED) < 1 && Math.abs(at(shift, 2) + BLUE) < 1;
  // Whose mean is subtracted from which channel shows the order in which the channels come.
  if (isCaffe && (reversesChannels ? isRedFirst : isBlueFirst)) return BLUE_FIRST;
  if (isCaffe || isUsual(fromBytes)) return 'none';
  const fromSigned = range(-1, 1);
  const isFromSigned = fromSigned.every(
    ({ low, high }) => Math.abs(low) < 0.01 && (Math.abs(high - 1) < 0.01 || Math.abs(high - 255) < 1),
  );
  if (isFromSigned) return 'tf';
  const fromUnit = range(0, 1);
  // A mean may have been subtracted from them.
  const isBytes = fromUnit.every(({ low, high }) => low < 0.01 && low > -135 && Math.abs(high - low - 255) < 1);
  // Values that are around 0 already would not be moved.
  const isMoved = fromUnit.every(({ low }) => low < -SMALLEST_SPAN);
  return isBytes || (isMoved && isUsual(fromUnit)) ? 'unit' : undefined;
}
