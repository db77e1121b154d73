import type { Transport } from '../requests/transport.ts';
import type { Subscriber } from './subscriber.ts';

/** A separate event stream for each subscription. */
export function createStreamSubscriber(transport: Transport): Subscriber {
  return {
    async *subscribe({ subscription, variables }, { signal }) {
      for await (const { data } of transport.stream(subscription, variables, { signal })) if (data) yield data;
    },
  };
}
