/** Subscriptions over one WebSocket, by the protocol graphql-transport-ws. */
import { type Answer, parseAnswer, readData, readError } from '../answer.ts';
import { InferqlError } from '../errors.ts';
import type { Sink, SubscriptionRequest } from './subscriber.ts';

export interface SharedSocket {
  /** Opens the connection, and again whenever it is lost. */
  start(): void;
  /** Closes it, and does not open it again. */
  stop(): void;
  /**
   * Subscribes now, or as soon as the connection is open, and again on each later connection.
   * @returns a function that unsubscribes; nothing is reported after that
   */
  subscribe(request: SubscriptionRequest, sink: Sink): () => void;
}

interface SocketOptions {
  /** The GraphQL endpoint, over HTTP. */
  url: URL;
  /** The first message's content, which identifies the caller. */
  getParams(): Promise<Record<string, string>>;
  /** @param retries the number of retries since it was last open */
  getWaitMs(retries: number): number;
  onOpened(): void;
  /** The connection was lost, or could not be opened. UNAUTHENTICATED: the server does not accept the caller. */
  onClosed(error: InferqlError): void;
}

const ACK_WAIT_MS = 5_000;
const PING_INTERVAL_MS = 10_000;
const PONG_WAIT_MS = 5_000;
/** 'Unauthorized'. */
const REFUSED_CLOSE_CODE = 4401;

export function createSharedSocket({ url, getParams, getWaitMs, onOpened, onClosed }: SocketOptions): SharedSocket {
  const running = new Map<string, { request: SubscriptionRequest; sink: Sink }>();
  let isStarted = false;
  /** Undefined between two connections. */
  let socket: WebSocket | undefined;
  let isReady = false;
  let retries = 0;
  let count = 0;
  let retryTimer: ReturnType<typeof setTimeout> | undefined;
  /** Until the acknowledgement, then until the next ping or pong. */
  let timer: ReturnType<typeof setTimeout> | undefined;

  const send = (message: object) => socket?.send(JSON.stringify(message));
  const sendSubscribe = (id: string, { subscription, variables }: SubscriptionRequest) =>
    send({ id, type: 'subscribe', payload: { query: subscription.toString(), variables } });

  function drop(): void {
    const dropped = socket;
    socket = undefined;
    isReady = false;
    clearTimeout(timer);
    if (!dropped) return;
    dropped.onopen = dropped.onmessage = dropped.onclose = null;
    // A dead connection may take minutes to close; nobody waits for it.
    dropped.close(1000);
  }

  function lose(error: InferqlError): void {
    drop();
    onClosed(error);
    if (isStarted) retryTimer = setTimeout(open, getWaitMs(retries++));
  }

  const loseSilent = () => lose(new InferqlError('UNREACHABLE', 'The WebSocket fell silent.'));

  function open(): void {
    const opened = new WebSocket(url.href.replace(/^http/, 'ws'), 'graphql-transport-ws');
    socket = opened;
    timer = setTimeout(loseSilent, ACK_WAIT_MS);
    opened.onopen = () => {
      getParams().then(
        (payload) => socket === opened && send({ type: 'connection_init', payload }),
        (cause: unknown) =>
          socket === opened && lose(new InferqlError('UNREACHABLE', 'The key could not be read.', { cause })),
      );
    };
    opened.onmessage = ({ data }) => receive(parseAnswer(String(data)) as Message | undefined);
    opened.onclose = ({ code }) =>
      lose(
        code === REFUSED_CLOSE_CODE
          ? new InferqlError('UNAUTHENTICATED', 'The server does not accept this API key or token.')
          : new InferqlError('UNREACHABLE', `The WebSocket to ${url.host} could not be opened, or was closed.`),
      );
  }

  function receive(message: Message | undefined): void {
    const { type, id = '', payload } = message ?? {};
    const sink = running.get(id)?.sink;
    switch (type) {
      case 'connection_ack':
        isReady = true;
        retries = 0;
        waitToPing();
        for (const [each, { request }] of running) sendSubscribe(each, request);
        onOpened();
        break;
      case 'ping':
        send({ type: 'pong' });
        break;
      case 'pong':
        waitToPing();
        break;
      case 'next':
        if (sink) deliver(id, sink, payload as Answer);
        break;
      case 'error':
        running.delete(id);
        sink?.error(readError((payload as NonNullable<Answer['errors']>)[0] ?? {}));
        break;
      case 'complete':
        running.delete(id);
        sink?.complete();
    }
  }

  function deliver(id: string, sink: Sink, answer: Answer): void {
    let data: unknown;
    try {
      data = readData(answer);
    } catch (error) {
      unsubscribe(id);
      sink.error(error);
      return;
    }
    sink.next(data);
  }

  function waitToPing(): void {
    clearTimeout(timer);
    timer = setTimeout(() => {
      send({ type: 'ping' });
      timer = setTimeout(loseSilent, PONG_WAIT_MS);
    }, PING_INTERVAL_MS);
  }

  function unsubscribe(id: string): void {
    if (running.delete(id) && isReady) send({ id, type: 'complete' });
  }

  return {
    start() {
      if (isStarted) return;
      isStarted = true;
      open();
    },
    stop() {
      isStarted = false;
      clearTimeout(retryTimer);
      retries = 0;
      drop();
    },
    subscribe(request, sink) {
      const id = String(++count);
      running.set(id, { request, sink });
      if (isReady) sendSubscribe(id, request);
      return () => unsubscribe(id);
    },
  };
}

interface Message {
  type?: string;
  id?: string;
  payload?: unknown;
}
