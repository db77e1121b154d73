import { InferqlError } from './errors.ts';
import { WatchDocument, WatchQueueDocument } from './generated/graphql.ts';
import { RetryClock } from './retry.ts';
import type { Document, Transport } from './transport.ts';
import type { Prediction, PredictionStatus, Queue, WatchOptions } from './types.ts';

export function isTerminal(status: PredictionStatus): boolean {
  return status !== 'QUEUED' && status !== 'PROCESSING';
}

/** The variables that select how much of a prediction is read. */
export function selectFields({ topK = 5, heatmap = false, outputs = false }: WatchOptions) {
  return { topK, heatmap, outputs };
}

/** See Client.watch. */
export async function* watchPrediction(
  transport: Transport,
  retryForMs: number,
  id: string,
  options: WatchOptions = {},
): AsyncGenerator<Prediction, void, undefined> {
  const variables = { id, ...selectFields(options) };
  let shown = '';
  for await (const { prediction } of follow(transport, retryForMs, WatchDocument, variables, options.signal)) {
    if (!prediction) throw new InferqlError('NOT_FOUND', 'The prediction was forgotten.');
    // A new subscription begins with the current state, which may already have been delivered.
    const state = JSON.stringify(prediction);
    if (state !== shown) yield prediction;
    if (isTerminal(prediction.status)) return;
    shown = state;
  }
}

/** See Client.watchQueue. */
export async function* watchQueue(
  transport: Transport,
  retryForMs: number,
  model: string | undefined,
  signal: AbortSignal | undefined,
): AsyncGenerator<Queue, void, undefined> {
  for await (const { queue } of follow(transport, retryForMs, WatchQueueDocument, { model: model ?? null }, signal)) {
    yield queue;
  }
}

/** Reopens the subscription until the reader of the answers leaves: neither operation ends before that. */
async function* follow<Data, Variables extends object>(
  transport: Transport,
  retryForMs: number,
  document: Document<Data, Variables>,
  variables: Variables,
  signal: AbortSignal | undefined,
): AsyncGenerator<Data, void, undefined> {
  const clock = new RetryClock(retryForMs, signal);
  for (;;) {
    try {
      for await (const { data } of transport.stream(document, variables, { signal })) {
        clock.reset();
        if (data) yield data;
      }
      throw new InferqlError('UNREACHABLE', 'The server ended the subscription.');
    } catch (error) {
      await clock.waitAfter(error);
    }
  }
}
