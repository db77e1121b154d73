/** Compares a model's answers with a notebook's, and finds the preprocessing that gives them. */
import { ModelError } from '../errors.ts';
import type { InputSpec } from '../spec/input-spec.ts';
import type { ExpectedAnswer } from './answers.ts';
import { listCrops, listResizes } from './candidates.ts';
import { listNormalizations } from './normalizations.ts';

/** Answers count as equal up to this difference of a probability: engines round differently, and so does a float image as bytes. */
export const SAME_ANSWER = 0.01;
/** Alternatives are tried on this many images. */
const TRIED_IMAGES = 12;
/** With so many of the best normalizations, and the spec's, crops and resizes are tried. */
const TRIED_NORMALIZATIONS = 3;

export interface Comparison {
  images: number;
  /** Images whose best label is the same. */
  sameFirst: number;
  /** The largest difference of a probability. */
  largest: number;
  /** The mean over images of their largest difference. */
  mean: number;
}

export interface Verifier {
  /** The model's probabilities for an image that is prepared as `input` says. */
  answer(file: string, input: InputSpec): Promise<Float32Array>;
}

export const isSame = ({ largest, sameFirst, images }: Comparison): boolean =>
  largest <= SAME_ANSWER && sameFirst === images;

/** Runs the model on every image, prepared as `input` says. */
export async function compareAnswers(
  { answer }: Verifier,
  expected: readonly ExpectedAnswer[],
  input: InputSpec,
): Promise<Comparison> {
  let [sameFirst, largest, sum] = [0, 0, 0];
  for (const { file, probabilities } of expected) {
    const values = await answer(file, input);
    const largestOf = probabilities.reduce((most, value, i) => Math.max(most, Math.abs(value - values[i]!)), 0);
    // NaN is nobody's answer, and would come before all others when they are sorted.
    const difference = Number.isNaN(largestOf) ? Number.POSITIVE_INFINITY : largestOf;
    if (indexOfLargest(values) === indexOfLargest(probabilities)) sameFirst++;
    largest = Math.max(largest, difference);
    sum += difference;
  }
  return { images: expected.length, sameFirst, largest, mean: sum / expected.length };
}

function indexOfLargest(values: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}

export interface Search {
  input: InputSpec;
  comparison: Comparison;
  /** False if the time limit ended it. */
  isComplete: boolean;
}

/**
 * Tries other ways to normalize, crop and resize: every normalization first, which matters most; then, with the best of them and with
 * the spec's, every crop, and with the best crop every library and filter. It ends with a normalization that gives the same answers.
 * @param timeLimitMs no alternative is begun later; half of it is for the normalizations
 * @returns the alternative whose answers are nearest to the expected ones
 */
export async function findBestInput(
  verifier: Verifier,
  expected: readonly ExpectedAnswer[],
  input: InputSpec,
  timeLimitMs: number,
): Promise<Search> {
  const some = expected.slice(0, TRIED_IMAGES);
  const start = performance.now();
  let isComplete = true;
  const measure = async (inputs: readonly InputSpec[], endMs: number): Promise<Tried[]> => {
    const tried: Tried[] = [];
    for (const input of inputs) {
      if (performance.now() - start >= endMs) {
        isComplete = false;
        break;
      }
      const comparison = await compareIfPossible(verifier, some, input);
      if (comparison) tried.push({ input, comparison });
    }
    return tried.toSorted(byMean);
  };

  const normalized = await measure(
    listNormalizations(input).map((normalization) => ({ ...input, normalization })),
    timeLimitMs / 2,
  );
  const own = normalized.filter((tried) => tried.input.normalization === input.normalization);
  let best = normalized[0];
  for (const first of new Set([...normalized.slice(0, TRIED_NORMALIZATIONS), ...own])) {
    const [crop = first] = [first, ...(await measure(listCrops(first.input), timeLimitMs))].toSorted(byMean);
    const [resize = crop] = [crop, ...(await measure(listResizes(crop.input), timeLimitMs))].toSorted(byMean);
    if (!best || resize.comparison.mean < best.comparison.mean) best = resize;
    if (isSame(resize.comparison)) break;
  }
  const found = best?.input ?? input;
  return { input: found, comparison: await compareAnswers(verifier, expected, found), isComplete };
}

interface Tried {
  input: InputSpec;
  comparison: Comparison;
}

const byMean = (a: Tried, b: Tried): number =>
  Number(a.comparison.mean > b.comparison.mean) - Number(a.comparison.mean < b.comparison.mean);

/** Undefined if the model cannot be normalized so. */
async function compareIfPossible(verifier: Verifier, expected: readonly ExpectedAnswer[], input: InputSpec) {
  try {
    return await compareAnswers(verifier, expected, input);
  } catch (error) {
    if (error instanceof ModelError && error.code === 'SPEC_INVALID') return undefined;
    throw error;
  }
}
