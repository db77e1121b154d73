import { InferqlError } from '../errors.ts';
import type { Transport } from '../requests/transport.ts';
import type { Subscriber, SubscriptionRequest } from './subscriber.ts';

/** A separate event stream for each subscription. */
export function createStreamSubscriber(transport: Transport): Subscriber {
  return { subscribe: (request, { signal }) => streamEvents(transport, request, signal) };
}

/**
 * The events of one subscription over an event stream. If the server does not accept the key, or no longer, and the caller has another one
 * by then, the stream is opened again with that, and begins with the current state.
 */
export async function* streamEvents<Data, Variables extends object>(
  transport: Transport,
  { subscription, variables }: SubscriptionRequest<Data, Variables>,
  signal: AbortSignal | undefined,
): AsyncGenerator<Data, void, undefined> {
  let authorization = await transport.authorization();
  let wasRefused = false;
  for (;;) {
    try {
      for await (const { data } of transport.stream(subscription, variables, { signal, authorization })) {
        wasRefused = false;
        if (data) yield data;
      }
      return;
    } catch (error) {
      if (wasRefused || !(error instanceof InferqlError && error.code === 'UNAUTHENTICATED')) throw error;
      const next = await transport.authorization();
      if (JSON.stringify(next) === JSON.stringify(authorization)) throw error;
      authorization = next;
      wasRefused = true;
    }
  }
}
