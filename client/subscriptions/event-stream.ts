import { InferqlError } from '../errors.ts';
import type { Transport } from '../requests/transport.ts';
import { MAX_FIRST_EVENT_MS } from './event-transport-choice.ts';
import { streamEvents } from './stream-subscriber.ts';
import type { Sink, SubscriptionRequest } from './subscriber.ts';

/** What one event stream reports besides its events. */
export interface StreamReports {
  /** The first event, or an error of the API, came. */
  onDelivery(): void;
  /** The current state, which the server sends at once, did not come: something holds it back, or answers in the server's place. */
  onWithheld(): void;
  /** The server cannot be reached, or the stream broke off. */
  onBreak(): void;
}

/**
 * Subscribes over one event stream.
 * @returns a function that stops; nothing is reported after that
 */
export function openEventStream(
  transport: Transport,
  request: SubscriptionRequest,
  sink: Sink,
  { onDelivery, onWithheld, onBreak }: StreamReports,
): () => void {
  const stop = new AbortController();
  const { signal } = stop;
  const end = () => {
    clearTimeout(timer);
    stop.abort();
  };
  const withhold = () => {
    end();
    onWithheld();
  };
  const timer = setTimeout(withhold, MAX_FIRST_EVENT_MS);

  void (async () => {
    try {
      for await (const data of streamEvents(transport, request, signal)) {
        if (signal.aborted) return;
        clearTimeout(timer);
        onDelivery();
        sink.next(data);
      }
      if (signal.aborted) return;
      end();
      sink.complete();
    } catch (error) {
      if (signal.aborted) return;
      // An error of the caller's own functions comes before any request.
      const { code = 'UNREACHABLE', httpStatus } = error instanceof InferqlError ? error : {};
      // A gateway whose server is down for now (5xx) may well pass event streams.
      if (httpStatus !== undefined && httpStatus < 500) return withhold();
      end();
      if (code === 'UNREACHABLE' || httpStatus !== undefined) onBreak();
      else onDelivery();
      sink.error(error);
    }
  })();

  return end;
}
