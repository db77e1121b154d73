import type { Connection } from '../client-types.ts';
import { InferqlError } from '../errors.ts';
import type { Transport } from '../requests/transport.ts';
import { openEventStream } from './event-stream.ts';
import {
  createEventTransportChoice,
  type EventTransport,
  type EventTransportChoice,
} from './event-transport-choice.ts';
import { Poller } from './poller.ts';
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
  /** Leaves the current transport. */
  leave(): void;
}

/** A browser opens six connections per server over HTTP/1.1; uploads and everything else need the others. */
const MAX_STREAMS = 3;
/** The next subscription often follows the last one soon, for example after an error. */
const LINGER_MS = 5_000;

/**
 * Runs all subscriptions over one WebSocket. If it does not open, at most three use event streams and the rest are polled; if a proxy holds
 * event streams back, all are polled. When the WebSocket opens, the subscriptions switch back without notice. Without a subscription, no
 * connection is open.
 */
export class SharedSubscriber implements Subscriber {
  readonly #options: SharedOptions;
  readonly #running = new Set<Running>();
  readonly #delivering = new Set<Running>();
  readonly #choice: EventTransportChoice;
  readonly #poller: Poller;
  readonly #socket: SharedSocket;
  #streams = 0;
  #connection: Connection = 'idle';
  #linger: ReturnType<typeof setTimeout> | undefined;

  constructor(options: SharedOptions) {
    const { url, transport } = options;
    this.#options = options;
    this.#choice = createEventTransportChoice((next) => this.#moveTo(next));
    const isPolling = () => this.#choice.get() === 'polling';
    this.#poller = new Poller(transport, {
      onAnswer: () => isPolling() && this.#setConnection('polling'),
      onBreak: () => isPolling() && this.#setConnection('connecting'),
    });
    this.#socket = new SharedSocket({
      url,
      getParams: () => transport.authorization(),
      getWaitMs: this.#choice.getSocketWaitMs,
      onOpened: () => {
        this.#choice.socketOpened();
        this.#setConnection('websocket');
      },
      onRenewed: () => this.#choice.get() === 'websocket' && this.#setConnection('connecting'),
      onClosed: (error) => this.#onSocketClosed(error),
    });
  }

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
      this.#remove(each);
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
    this.#add(each);
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
      this.#remove(each);
    }
  }

  #add(each: Running): void {
    clearTimeout(this.#linger);
    if (this.#connection === 'idle') this.#setConnection('connecting');
    // Before it is among those that a change of the transport starts.
    if (typeof WebSocket === 'undefined') this.#choice.socketMissing();
    else {
      this.#choice.socketStarted();
      // The connection may still be open from earlier subscriptions, with a key that has been replaced.
      if (this.#running.size === 0) this.#socket.renew();
      this.#socket.start();
    }
    this.#running.add(each);
    this.#start(each, this.#choice.get());
  }

  #remove(each: Running): void {
    if (!this.#running.delete(each)) return;
    each.leave();
    if (this.#running.size > 0) return;
    // Outside of a page and its workers, an open connection would keep the program from ending.
    const lingerMs = globalThis.location ? LINGER_MS : 0;
    this.#linger = setTimeout(() => {
      this.#choice.pause();
      this.#socket.stop();
      this.#setConnection('idle');
    }, lingerMs);
  }

  /** Moves all subscriptions to another transport. */
  #moveTo(transport: EventTransport): void {
    if (transport !== 'websocket') this.#setConnection('connecting');
    for (const each of this.#running) each.leave();
    for (const each of this.#running) this.#start(each, transport);
  }

  #start(each: Running, transport: EventTransport): void {
    let isLeft = false;
    const whileHere = (then: () => void) => {
      if (!isLeft) then();
    };
    const sink: Sink = {
      next: (data) => whileHere(() => each.sink.next(data)),
      error: (error) => whileHere(() => each.sink.error(error)),
      complete: () => whileHere(() => each.sink.complete()),
    };
    const stop = this.#carry(each, transport, sink);
    each.leave = () => {
      if (isLeft) return;
      isLeft = true;
      stop();
    };
  }

  /** @returns a function that ends it */
  #carry(each: Running, transport: EventTransport, sink: Sink): () => void {
    if (transport === 'websocket') return this.#socket.subscribe(each.request, sink);
    if (transport === 'polling' || this.#streams >= MAX_STREAMS) return this.#poller.add(each.request, sink);
    this.#streams++;
    const close = openEventStream(this.#options.transport, each.request, sink, {
      onDelivery: () => {
        this.#delivering.add(each);
        this.#setConnection('event-stream');
      },
      onWithheld: this.#choice.streamWithheld,
      onBreak: () => {
        this.#delivering.delete(each);
        if (this.#delivering.size === 0) this.#setConnection('connecting');
      },
    });
    return () => {
      this.#streams--;
      this.#delivering.delete(each);
      close();
    };
  }

  #onSocketClosed(error: unknown): void {
    const isLost = error instanceof InferqlError && error.code !== 'UNAUTHENTICATED';
    if (this.#choice.get() === 'websocket') {
      this.#setConnection('connecting');
      for (const each of [...this.#running]) {
        if (isLost) each.onLost(error);
        else each.sink.error(error);
      }
    }
    if (isLost) this.#choice.socketClosed();
  }

  #setConnection(next: Connection): void {
    if (next === this.#connection) return;
    this.#connection = next;
    try {
      this.#options.onConnection?.(next);
    } catch (error) {
      // It concerns no subscription: these go on, as they do after the error of an event's listener.
      if (typeof reportError === 'function') reportError(error);
      else void Promise.reject(error);
    }
  }
}
