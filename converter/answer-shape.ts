/** Which outputs can be the scores of classes, and what to do about a model that has none. */
import { MAX_OUTPUT_BYTES } from '@inferql/queue/outputs';

/**
 * Why an output cannot be the scores of classes.
 * @param sizes of what it gives for one image
 * @param shown the sizes for people, as far as they know them
 * @returns undefined if it can
 */
export function whyNotScores(sizes: readonly number[], shown: string = sizes.join(' x ')): string | undefined {
  if (sizes.filter((size) => size > 1).length <= 1) return undefined;
  const what = sizes.length === 3 ? 'a mask (segmentation) or a map of features' : 'boxes (detection) or features';
  return `gives ${shown} numbers, which are ${what} and not a score per class`;
}

/** An output by name. `sizes` are those of what it gives for one image; undefined if the file leaves one open. */
export interface SizedOutput {
  name: string;
  sizes: readonly number[] | undefined;
  /** Whether the sizes were only found by running the model, so that `--outputs` needs them. */
  isMeasured?: boolean;
}

/** What to do about a model without scores. As many of its outputs are served without labels as a result may have. */
export function wayWithoutLabels(outputs: readonly SizedOutput[]): string {
  const bytesOf = ({ sizes = [] }: SizedOutput) => 4 * sizes.reduce((a, b) => a * b, 1);
  let left = MAX_OUTPUT_BYTES;
  const small = outputs.filter((output) => {
    const fits = bytesOf(output) <= left;
    if (fits) left -= bytesOf(output);
    return fits;
  });
  const limit = `a result may have ${MAX_OUTPUT_BYTES / 1024} KiB of them`;
  const way = 'export it with a score per class as an output';
  if (small.length === 0) return `${way}. Its numbers cannot be served without labels, either: ${limit}`;
  const detailOf = ({ sizes, isMeasured }: SizedOutput) => (isMeasured && sizes ? `:${sizes.join('x')}` : '');
  const flag = `--outputs ${small.map((output) => `${output.name}=tensor${detailOf(output)}`).join(',')}`;
  return `${way}, or serve it without labels: ${flag}${small.length < outputs.length ? ` (${limit})` : ''}`;
}
