import type { Prediction, PredictionStatus, Queue } from '../answers/answer-types.ts';
import type { CallOptions, ReadOptions } from '../client-types.ts';
import { InferqlError } from '../errors.ts';
import { QueueDocument, ReadDocument, WatchDocument, WatchQueueDocument } from '../generated/graphql.ts';
import { RetryClock } from '../requests/retry.ts';
import type { Subscriber, SubscriptionRequest } from './subscriber.ts';

export function isTerminal(status: PredictionStatus): boolean {
  return status !== 'QUEUED' && status !== 'PROCESSING';
}

/** The variables that select how much of a prediction is read. */
export function selectFields({ topK = 5, heatmap = false, outputs = false }: ReadOptions) {
  const heatmapOf = typeof heatmap === 'number' ? heatmap : null;
  return { topK, heatmap: heatmap !== false, heatmapOf, outputs: outputs !== false, values: outputs === true };
}

/** See Client.watch. */
export async function* watchPrediction(
  subscriber: Subscriber,
  id: string,
  options: ReadOptions,
): AsyncGenerator<Prediction, void, undefined> {
  const variables = { id, ...selectFields(options) };
  let shown = '';
  const request = { subscription: WatchDocument, query: ReadDocument, variables };
  for await (const { prediction } of follow(subscriber, request, options)) {
    if (!prediction) throw new InferqlError('NOT_FOUND', 'The server no longer has this prediction.');
    // A new subscription begins with the current state, which may already have been delivered.
    const state = JSON.stringify(prediction);
    if (state !== shown) yield prediction;
    if (isTerminal(prediction.status)) return;
    shown = state;
  }
}

/** See Client.watchQueue. */
export async function* watchQueue(
  subscriber: Subscriber,
  model: string | undefined,
  options: CallOptions,
): AsyncGenerator<Queue, void, undefined> {
  const request = { subscription: WatchQueueDocument, query: QueueDocument, variables: { model: model ?? null } };
  for await (const { queue } of follow(subscriber, request, options)) yield queue;
}

/** Reopens the subscription until the reader of the answers leaves: neither operation ends before that. */
async function* follow<Data, Variables extends object>(
  subscriber: Subscriber,
  request: SubscriptionRequest<Data, Variables>,
  options: CallOptions,
): AsyncGenerator<Data, void, undefined> {
  const clock = new RetryClock(options);
  for (;;) {
    try {
      const onLost = (error: InferqlError) => void clock.fail(error);
      for await (const data of subscriber.subscribe(request, { signal: options.signal, onLost })) {
        clock.reset();
        yield data;
      }
      throw new InferqlError('UNREACHABLE', 'The server ended the subscription.');
    } catch (error) {
      await clock.waitAfter(error);
    }
  }
}
