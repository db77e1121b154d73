/** Compares a model's answers with a notebook's, and finds the preprocessing that gives them. */
import type { Trial } from '../commands/check.ts';
import type { InputSpec } from '../spec.ts';
import type { ExpectedAnswer } from './answers.ts';
import { listCrops, listResizes } from './candidates.ts';

/** Answers count as equal up to this difference of a probability: engines round differently, and so does a float image as bytes. */
export const SAME_ANSWER = 0.01;
/** Alternatives are tried on this many images. */
const TRIED_IMAGES = 12;

export interface Comparison {
  images: number;
  /** Images whose first answer is the same. */
  sameFirst: number;
  /** The largest difference of a probability. */
  largest: number;
  /** The mean over images of their largest difference. */
  mean: number;
}

export interface Verifier {
  /** The pixels of an image for an input. */
  read(file: string, input: InputSpec): Promise<Uint8Array>;
  trial: Trial;
}

export const isSame = ({ largest, sameFirst, images }: Comparison): boolean =>
  largest <= SAME_ANSWER && sameFirst === images;

/** Runs the model on every image, prepared as `input` says. */
export async function compareAnswers(
  { read, trial }: Verifier,
  expected: readonly ExpectedAnswer[],
  input: InputSpec,
): Promise<Comparison> {
  let [sameFirst, largest, sum] = [0, 0, 0];
  for (const { file, probabilities } of expected) {
    const values = await trial.run(await read(file, input));
    const difference = probabilities.reduce((most, value, i) => Math.max(most, Math.abs(value - values[i]!)), 0);
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

/**
 * Tries the other ways to crop and resize: first the crops, then every library and filter with the best of them.
 * @returns the one whose answers are nearest to the expected ones
 */
export async function findBestInput(
  verifier: Verifier,
  expected: readonly ExpectedAnswer[],
  input: InputSpec,
): Promise<{ input: InputSpec; comparison: Comparison }> {
  const some = expected.slice(0, TRIED_IMAGES);
  const crops = await rank(verifier, some, listCrops(input));
  const resizes = await rank(verifier, some, [crops.input, ...listResizes(crops.input)]);
  const comparison = await compareAnswers(verifier, expected, resizes.input);
  return { input: resizes.input, comparison };
}

async function rank(verifier: Verifier, expected: readonly ExpectedAnswer[], candidates: readonly InputSpec[]) {
  let best: { input: InputSpec; mean: number } | undefined;
  for (const input of candidates) {
    const { mean } = await compareAnswers(verifier, expected, input);
    if (!best || mean < best.mean) best = { input, mean };
  }
  if (!best) throw new Error('no candidates');
  return best;
}
