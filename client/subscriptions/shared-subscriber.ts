import type { Connection } from '../api.ts';
import type { InferqlError } from '../errors.ts';
import type { Transport } from '../transport.ts';
import { type Carrier, createCarrierChoice } from './carrier-choice.ts';
import { openEventStream } from './event-stream.ts';
import { createPoller } from './poller.ts';
import type { Sink, SubscribeOptions, Subscriber, SubscriptionRequest } from './subscriber.ts';
import { SharedSocket } from './web-socket.ts';

interface SharedOptions {
  /** The GraphQL endpoint, over HTTP. */
  url: URL;
  transport: Transport;
  onConnection?: ((connection: Connection) => void) | undefined;
}

interface Running {
  request: SubscriptionRequest;
  sink: Sink;
  onLost(error: InferqlError): void;
  /** Leaves the current carrier. */
  leave(): void;
}

/** A browser opens six connections per server over HTTP/1.1; uploads and everything else need the others. */
const MAX_STREAMS = 3;
/** The next subscription often follows the last one soon, for example after an error. */
const LINGER_MS = 5_000;

/**
 * All subscriptions over one WebSocket. If it does not open, they go over at most three event streams and the rest is polled; if these
 * are held back, all is polled. The subscriptions return when the WebSocket opens, and do not notice. Without a subscription,
 * nothing is open.
 */
export function createSharedSubscriber({ url, transport, onConnection }: SharedOptions): Subscriber {
  const running = new Set<Running>();
  const delivering = new Set<Running>();
  let streams = 0;
  let connection: Connection = 'idle';
  let linger: ReturnType<typeof setTimeout> | undefined;

  const setConnection = (next: Connection) => {
    if (next === connection) return;
    connection = next;
    onConnection?.(next);
  };
  const choice = createCarrierChoice((carrier) => {
    if (carrier !== 'websocket') setConnection('connecting');
    for (const each of running) each.leave();
    for (const each of running) start(each, carrier);
  });
  const poller = createPoller(transport, {
    onAnswer: () => choice.get() === 'polling' && setConnection('polling'),
    onBreak: () => choice.get() === 'polling' && setConnection('connecting'),
  });
  const socket = new SharedSocket({
    url,
    getParams: transport.authorization,
    getWaitMs: choice.getSocketWaitMs,
    onOpened() {
      choice.socketOpened();
      setConnection('websocket');
    },
    onClosed(error) {
      const isRefused = error.code === 'UNAUTHENTICATED';
      if (choice.get() === 'websocket') {
        setConnection('connecting');
        for (const each of [...running]) (isRefused ? each.sink.error : each.onLost)(error);
      }
      if (!isRefused) choice.socketClosed();
    },
  });

  function start(each: Running, carrier: Carrier): void {
    let isLeft = false;
    const whileHere = (then: () => void) => {
      if (!isLeft) then();
    };
    const sink: Sink = {
      next: (data) => whileHere(() => each.sink.next(data)),
      error: (error) => whileHere(() => each.sink.error(error)),
      complete: () => whileHere(() => each.sink.complete()),
    };
    const stop = carry(each, carrier, sink);
    each.leave = () => {
      if (isLeft) return;
      isLeft = true;
      stop();
    };
  }

  function carry(each: Running, carrier: Carrier, sink: Sink): () => void {
    if (carrier === 'websocket') return socket.subscribe(each.request, sink);
    if (carrier === 'polling' || streams >= MAX_STREAMS) return poller.add(each.request, sink);
    streams++;
    const close = openEventStream(transport, each.request, sink, {
      onDelivery() {
        delivering.add(each);
        setConnection('event-stream');
      },
      onWithheld: choice.streamWithheld,
      onBreak() {
        delivering.delete(each);
        if (delivering.size === 0) setConnection('connecting');
      },
    });
    return () => {
      streams--;
      delivering.delete(each);
      close();
    };
  }

  function add(each: Running): void {
    clearTimeout(linger);
    if (connection === 'idle') setConnection('connecting');
    // Before it is among those that a change of the carrier starts.
    if (typeof WebSocket === 'undefined') choice.socketMissing();
    else {
      choice.socketStarted();
      socket.start();
    }
    running.add(each);
    start(each, choice.get());
  }

  function remove(each: Running): void {
    if (!running.delete(each)) return;
    each.leave();
    if (running.size > 0) return;
    linger = setTimeout(() => {
      choice.pause();
      socket.stop();
      setConnection('idle');
    }, LINGER_MS);
  }

  return {
    async *subscribe<Data, Variables extends object>(
      request: SubscriptionRequest<Data, Variables>,
      { signal, onLost }: SubscribeOptions,
    ): AsyncGenerator<Data, void, undefined> {
      signal?.throwIfAborted();
      const events: Data[] = [];
      let end: { error?: unknown } | undefined;
      let wake = () => {};
      const finish = (reason: { error?: unknown }) => {
        end ??= reason;
        remove(each);
        wake();
      };
      const each: Running = {
        request: request as unknown as SubscriptionRequest,
        sink: {
          next(data) {
            events.push(data as Data);
            wake();
          },
          error: (error) => finish({ error }),
          complete: () => finish({}),
        },
        onLost(error) {
          try {
            onLost?.(error);
          } catch (reason) {
            finish({ error: reason });
          }
        },
        leave: () => {},
      };
      const abort = () => finish({ error: signal?.reason });
      signal?.addEventListener('abort', abort, { once: true });
      add(each);
      try {
        for (;;) {
          while (events.length > 0) yield events.shift()!;
          if (end && 'error' in end) throw end.error;
          if (end) return;
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
        }
      } finally {
        signal?.removeEventListener('abort', abort);
        remove(each);
      }
    },
  };
}
