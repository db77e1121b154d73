/** Subscriptions over one WebSocket, by the protocol graphql-transport-ws. */

import { InferqlError } from '../errors.ts';
import { type Answer, parseAnswer, readData, readError } from '../requests/graphql-answer.ts';
import type { Sink, SubscriptionRequest } from './subscriber.ts';

interface SocketOptions {
  /** The GraphQL endpoint, over HTTP. */
  url: URL;
  /** The first message's content, which identifies the caller. If it rejects, the connection is closed with that error. */
  getParams(): Promise<Record<string, string>>;
  /** @param retries the number of retries since it was last open */
  getWaitMs(retries: number): number;
  onOpened(): void;
  /** It is opened again, with another key. */
  onRenewed(): void;
  /**
   * The connection was lost, or could not be opened. UNAUTHENTICATED: the server does not accept the caller. Any other error than an
   * InferqlError is the caller's own.
   */
  onClosed(error: unknown): void;
}

const ACK_WAIT_MS = 5_000;
const PING_INTERVAL_MS = 10_000;
const PONG_WAIT_MS = 5_000;
/** 'Unauthorized'. */
const REFUSED_CLOSE_CODE = 4401;

/** One connection for all subscriptions, which is opened again whenever it is lost. */
export class SharedSocket {
  readonly #options: SocketOptions;
  readonly #running = new Map<string, { request: SubscriptionRequest; sink: Sink }>();
  #isStarted = false;
  /** Undefined between two connections. */
  #socket: WebSocket | undefined;
  #isReady = false;
  /** What the current connection's first message has, as JSON; undefined if it was not sent yet. */
  #sentParams: string | undefined;
  /** The server has accepted no key since it refused one. */
  #wasRefused = false;
  #retries = 0;
  #count = 0;
  #retryTimer: ReturnType<typeof setTimeout> | undefined;
  /** Until the acknowledgement, then until the next ping or any message. */
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(options: SocketOptions) {
    this.#options = options;
  }

  /** Opens the connection, and again whenever it is lost. */
  start(): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    this.#open();
  }

  /** Opens the connection again if the caller's key is not the one that it was opened with. Must be called while nothing is subscribed. */
  renew(): void {
    this.#wasRefused = false;
    // It asks for the key when it opens.
    if (this.#sentParams === undefined) return;
    if (!this.#isReady) {
      this.#reopen();
      return;
    }
    // Subscriptions wait until the key is known.
    this.#isReady = false;
    this.#compareKey(() => this.#begin());
  }

  /** Closes it, and does not open it again. */
  stop(): void {
    this.#isStarted = false;
    clearTimeout(this.#retryTimer);
    this.#retries = 0;
    this.#drop();
  }

  /**
   * Subscribes now, or as soon as the connection is open, and again on each later connection.
   * @returns a function that unsubscribes; nothing is reported after that
   */
  subscribe(request: SubscriptionRequest, sink: Sink): () => void {
    const id = String(++this.#count);
    this.#running.set(id, { request, sink });
    if (this.#isReady) this.#sendSubscribe(id, request);
    return () => this.#unsubscribe(id);
  }

  /** Opens the connection again if the caller has another key than it was opened with. @param keep called if it is the same */
  #compareKey(keep: () => void): void {
    const [socket, sentParams] = [this.#socket, this.#sentParams];
    this.#options.getParams().then(
      (params) => {
        if (this.#socket !== socket) return;
        if (JSON.stringify(params) === sentParams) keep();
        else this.#reopen(params);
      },
      (error: unknown) => this.#socket === socket && this.#lose(error),
    );
  }

  /** @param known the first message's content, if it was just read */
  #open(known?: Record<string, string>): void {
    const { url, getParams } = this.#options;
    const notOpen = (cause?: unknown) =>
      new InferqlError('UNREACHABLE', `The WebSocket to ${url.host} could not be opened, or was closed.`, { cause });
    let opened: WebSocket;
    try {
      opened = new WebSocket(url.href.replace(/^http/, 'ws'), 'graphql-transport-ws');
    } catch (error) {
      // The browser forbids it, for example to a server without https on a page with https.
      this.#lose(notOpen(error));
      return;
    }
    this.#socket = opened;
    this.#timer = setTimeout(() => this.#loseSilent(), ACK_WAIT_MS);
    opened.onopen = () => {
      Promise.resolve(known ?? getParams()).then(
        (payload) => {
          if (this.#socket !== opened) return;
          this.#sentParams = JSON.stringify(payload);
          this.#send({ type: 'connection_init', payload });
        },
        (error: unknown) => this.#socket === opened && this.#lose(error),
      );
    };
    opened.onmessage = ({ data }) => this.#receive(parseAnswer(String(data)) as Message | undefined);
    opened.onclose = ({ code }) => {
      if (code === REFUSED_CLOSE_CODE) {
        this.#onRefused(new InferqlError('UNAUTHENTICATED', 'The server does not accept this API key or token.'));
      } else {
        this.#lose(notOpen());
      }
    };
  }

  /** The server does not accept the key, or no longer. Subscriptions continue if the caller has another one by now, and end if not. */
  #onRefused(error: unknown): void {
    if (this.#wasRefused || this.#sentParams === undefined) {
      this.#lose(error);
      return;
    }
    this.#wasRefused = true;
    this.#isReady = false;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#loseSilent(), ACK_WAIT_MS);
    close(this.#socket!);
    this.#compareKey(() => this.#lose(error));
  }

  #receive(message: Message | undefined): void {
    const { type, id = '', payload } = message ?? {};
    const sink = this.#running.get(id)?.sink;
    // On a slow line, the answer to a ping comes behind other messages: each shows that the connection works.
    if (this.#isReady) this.#waitToPing();
    switch (type) {
      case 'connection_ack':
        this.#retries = 0;
        this.#wasRefused = false;
        this.#begin();
        this.#options.onOpened();
        break;
      case 'ping':
        this.#send({ type: 'pong' });
        break;
      case 'next':
        if (sink) this.#deliver(id, sink, payload as Answer);
        break;
      case 'error':
        if (sink) this.#fail(id, sink, readError((payload as NonNullable<Answer['errors']>)[0] ?? {}));
        break;
      case 'complete':
        this.#running.delete(id);
        sink?.complete();
    }
  }

  #begin(): void {
    this.#isReady = true;
    this.#waitToPing();
    for (const [id, { request }] of this.#running) this.#sendSubscribe(id, request);
  }

  #reopen(params?: Record<string, string>): void {
    this.#drop();
    this.#options.onRenewed();
    this.#open(params);
  }

  #deliver(id: string, sink: Sink, answer: Answer): void {
    let data: unknown;
    try {
      data = readData(answer);
    } catch (error) {
      this.#fail(id, sink, error);
      return;
    }
    sink.next(data);
  }

  #fail(id: string, sink: Sink, error: unknown): void {
    if (error instanceof InferqlError && error.code === 'UNAUTHENTICATED') {
      // The key ends for the whole connection.
      this.#onRefused(error);
      return;
    }
    this.#unsubscribe(id);
    sink.error(error);
  }

  #waitToPing(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#send({ type: 'ping' });
      this.#timer = setTimeout(() => this.#loseSilent(), PONG_WAIT_MS);
    }, PING_INTERVAL_MS);
  }

  #loseSilent(): void {
    this.#lose(new InferqlError('UNREACHABLE', 'The WebSocket connection timed out.'));
  }

  #lose(error: unknown): void {
    this.#drop();
    this.#options.onClosed(error);
    if (this.#isStarted) this.#retryTimer = setTimeout(() => this.#open(), this.#options.getWaitMs(this.#retries++));
  }

  #drop(): void {
    const dropped = this.#socket;
    this.#socket = undefined;
    this.#sentParams = undefined;
    this.#isReady = false;
    clearTimeout(this.#timer);
    if (dropped) close(dropped);
  }

  #sendSubscribe(id: string, { subscription, variables }: SubscriptionRequest): void {
    this.#send({ id, type: 'subscribe', payload: { query: subscription.toString(), variables } });
  }

  #unsubscribe(id: string): void {
    if (this.#running.delete(id) && this.#isReady) this.#send({ id, type: 'complete' });
  }

  #send(message: object): void {
    this.#socket?.send(JSON.stringify(message));
  }
}

function close(socket: WebSocket): void {
  socket.onopen = socket.onmessage = socket.onclose = null;
  // A dead connection may take minutes to close; nobody waits for it.
  socket.close(1000);
}

interface Message {
  type?: string;
  id?: string;
  payload?: unknown;
}
