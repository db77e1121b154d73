import type { OutputArray } from '@inferql/worker/engines/output-arrays';
import { ModelError } from '../errors.ts';
import type { PreparedModel } from '../prepared-model.ts';
import type { Trial, TrialAnswer } from './trial.ts';

/** Whether a model runs several images at once, and gives each the answer that it has alone. */
export type Batching = { isSingle: false } | { isSingle: true; why: string };

/** As shares of the largest number. Sums in another order differ by far less. */
const SAME = 1e-3;
/** Arithmetic in 8 bits whose scale is taken from the whole batch differs by less. */
const SIMILAR = 0.1;

/**
 * Compares a model's answers to an image: twice alone, and once together with another image. A result is shared and cached, and its image may be
 * run together with any other: it must not depend on either.
 * @throws ModelError SOURCE_INVALID for a model in training mode, whose dropout or batch normalization is still active
 */
export async function findBatching(
  trial: Trial,
  [image, other]: readonly [Uint8Array, Uint8Array],
  model: PreparedModel,
): Promise<Batching> {
  // Code of a user's own may count or draw as it likes.
  if (model.modulePath !== undefined) return { isSingle: false };
  const alone = await trial.run(image);
  if (differenceOf(alone, await trial.run(image)) > SAME) {
    throw new ModelError(
      'SOURCE_INVALID',
      'its results for the same image differ each time, as in training mode: export it again after model.eval()',
    );
  }
  let together: TrialAnswer;
  try {
    together = await trial.runTogether([image, other]);
  } catch (error) {
    if (error instanceof ModelError && error.code === 'CANCELED') throw error;
    const [reason = ''] = (error as Error).message.split('\n');
    return { isSingle: true, why: `it runs only one image at a time (${reason.slice(0, 160)})` };
  }
  const difference = differenceOf(alone, together);
  if (difference <= SAME) return { isSingle: false };
  if (difference <= SIMILAR) {
    return { isSingle: true, why: 'a result depends on the other images of a batch, as in dynamic quantization' };
  }
  throw new ModelError(
    'SOURCE_INVALID',
    'its result for an image depends on the other images of the batch, as in training mode: export it again after model.eval()',
  );
}

/** The largest difference of a number, as a share of the largest number of its output. Whole numbers jump, and are left out. */
function differenceOf(left: TrialAnswer, right: TrialAnswer): number {
  const others = arraysOf(right);
  const differences = arraysOf(left).map((values, i) => {
    const other = others[i];
    if (other?.length !== values.length) return Number.POSITIVE_INFINITY;
    let largest = 1e-6;
    let difference = 0;
    for (const [k, value] of values.entries()) {
      largest = Math.max(largest, Math.abs(value));
      difference = Math.max(difference, Math.abs(value - (other[k] ?? 0)));
    }
    return difference / largest;
  });
  return Math.max(0, ...differences);
}

function arraysOf({ probabilities, outputs }: TrialAnswer): OutputArray[] {
  return [probabilities, ...Object.values(outputs)].filter((values) => values instanceof Float32Array);
}
