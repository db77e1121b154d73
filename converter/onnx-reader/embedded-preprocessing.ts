import type { NormalizationSpec } from '../spec/input-spec.ts';
import {
  expectedRange,
  IMAGE_RANGES,
  type ImageRange,
  mapRanges,
  normalizationOfRange,
  orderOfMeans,
  type Response,
} from './expected-values.ts';
import type { InputTrace } from './input-trace.ts';

/** What must still be done to an image outside a model that contains preprocessing. */
export interface EmbeddedPreprocessing {
  /** Undefined if the arithmetic fits none of the usual ranges of values. */
  normalization: NormalizationSpec | undefined;
  /** The model exchanges red and blue, and nothing shows which of them it takes first. */
  isOrderOpen: boolean;
  /** For people: what the model does. */
  does: string;
}

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
export function readByteWeights({
  firstLayer,
  steps,
}: Pick<InputTrace, 'firstLayer' | 'steps'>): 'bytes' | 'centered' | 'either' | undefined {
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
  const does = trace.steps.join(', ');
  const { factor, shift, reversesChannels } = trace;
  // An exchange of channels alone shows no range.
  if (factor.every((value) => value === 1) && shift.every((value) => value === 0))
    return { normalization: undefined, isOrderOpen: false, does };
  const responses = mapRanges((range) => respond(trace, range));
  const range = expectedRange(responses);
  if (range === undefined) return { normalization: undefined, isOrderOpen: false, does };
  const order = orderOfMeans(zerosOf(responses[range], reversesChannels));
  return {
    normalization: normalizationOfRange(range, order),
    isOrderOpen: reversesChannels && order === undefined,
    does,
  };
}

function respond({ factor, shift, reversesChannels, channels }: InputTrace, range: ImageRange): Response {
  const { black, white } = IMAGE_RANGES[range];
  const count = Math.max(factor.length, shift.length, black.length);
  // An image of another number of channels has none of ImageNet's means.
  if (black.length > 1 && (count !== black.length || (channels ?? count) !== count)) return NOTHING;
  const at = (values: readonly number[], i: number) => values[values.length === 1 ? 0 : i] ?? 0;
  const apply = (levels: readonly number[]) =>
    Array.from({ length: count }, (_, i) => {
      const level = at(levels, reversesChannels ? count - 1 - i : i);
      return at(factor, i) * level + at(shift, i);
    });
  const [low, high] = [apply(black), apply(white)];
  return { black: low, gray: low.map((value, i) => (value + (high[i] ?? 0)) / 2), white: high };
}

const NOTHING: Response = { black: [], gray: [], white: [] };

function zerosOf({ black, white }: Response, reversesChannels: boolean): number[] {
  const zeros = black.map((low, i) => -low / ((white[i] ?? 0) - low));
  return reversesChannels ? zeros.reverse() : zeros;
}
