import type { SucceededPrediction } from '../answers/answer-types.ts';
import type { ClassifyManyOptions, ClassifyOptions, Outcome } from '../client-types.ts';
import { InferqlError } from '../errors.ts';
import { openImageSource } from './image-source.ts';

type Classify<Image> = (image: Image, options: ClassifyOptions) => Promise<SucceededPrediction>;

/** Sends at most `concurrency` images at a time, and reads one more from the source. See Client.classifyEach. */
export async function* classifyEach<Image>(
  classify: Classify<Image>,
  images: Iterable<Image> | AsyncIterable<Image>,
  options: ClassifyManyOptions<Image> = {},
): AsyncGenerator<Outcome<Image>, void, undefined> {
  const { concurrency = 5, idempotencyKey, onProgress, signal, ...each } = options;
  if (!(concurrency >= 1)) throw new RangeError('concurrency must be at least 1');
  const left = new AbortController();
  const either = signal ? AbortSignal.any([signal, left.signal]) : left.signal;
  const source = openImageSource(images, either);
  const total = Array.isArray(images) ? images.length : undefined;
  const running = new Map<number, Promise<Outcome<Image>>>();
  let next: Promise<IteratorResult<Image>> | undefined;
  let exhausted = false;
  let started = 0;
  let done = 0;
  let failed = 0;

  async function run(image: Image, index: number): Promise<Outcome<Image>> {
    const key = idempotencyKey ? { idempotencyKey: idempotencyKey(image, index) } : {};
    try {
      return { index, image, prediction: await classify(image, { ...each, ...key, signal: either }) };
    } catch (error) {
      if (!(error instanceof InferqlError)) throw error;
      return { index, image, error };
    }
  }

  try {
    for (;;) {
      signal?.throwIfAborted();
      if (!exhausted && !next && running.size < concurrency) {
        next = source.next();
        // It may reject while only running images are awaited.
        next.catch(() => {});
      }
      if (!next && running.size === 0) return;
      const first = await Promise.race<IteratorResult<Image> | Outcome<Image>>([
        ...running.values(),
        ...(next && running.size < concurrency ? [next] : []),
      ]);
      if ('index' in first) {
        running.delete(first.index);
        done++;
        if (first.error) failed++;
        onProgress?.({ done, failed, total });
        yield first;
        continue;
      }
      next = undefined;
      if (first.done) exhausted = true;
      else {
        const outcome = run(first.value, started);
        // If one rejects, the race reports it. The others end by the abort, and nobody awaits them.
        outcome.catch(() => {});
        running.set(started++, outcome);
      }
    }
  } finally {
    left.abort(new DOMException('The loop over the outcomes was left early.', 'AbortError'));
    await Promise.allSettled(running.values());
    if (!exhausted) await source.close();
  }
}

/** See Client.classifyAll. */
export async function classifyAll<Image>(
  classify: Classify<Image>,
  images: Iterable<Image> | AsyncIterable<Image>,
  options: ClassifyManyOptions<Image> = {},
): Promise<Outcome<Image>[]> {
  const outcomes: Outcome<Image>[] = [];
  for await (const outcome of classifyEach(classify, images, options)) outcomes[outcome.index] = outcome;
  return outcomes;
}
