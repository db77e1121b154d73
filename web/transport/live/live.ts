import { createChooser, type Way } from './choose.ts';
import { openEventStream } from './event-stream.ts';
import { createPoller } from './poll.ts';
import type { LiveRequest, LiveServer, LiveSink } from './request.ts';
import { openSocket } from './socket.ts';

/**
 * Whether the page hears from the server, and how: `open` is the WebSocket, `connecting` covers the first try and every later one.
 */
export type Connection = 'connecting' | 'open' | 'events' | 'polling';

/** All subscriptions of the page, over the best way that the line to the server passes. */
export interface Live {
  getConnection(): Connection;
  /** Calls back at each change of the connection; gives the way to stop that. */
  onConnection(listener: () => void): () => void;
  /** @returns the way to stop; nothing is told after that */
  subscribe(request: LiveRequest, sink: LiveSink): () => void;
}

interface Running {
  request: LiveRequest;
  sink: LiveSink;
  /** Leaves the present way. */
  leave(): void;
}

/** A browser grants a site six connections over HTTP/1.1; uploads and all else need the others. */
const MAX_STREAMS = 3;

interface LiveOptions {
  /** Headers that show the API key. */
  authorization: Record<string, string>;
  /** Called once, when the server does not let this page in, or no longer. */
  onRefused(): void;
}

/**
 * Opens the WebSocket. Where it does not open, subscriptions go over at most three event streams and the rest is polled; where these are
 * held back, all is polled. The subscriptions go back when the WebSocket opens, and notice nothing of it.
 */
export function createLive(origin: string, { authorization, onRefused }: LiveOptions): Live {
  const listeners = new Set<() => void>();
  const running = new Set<Running>();
  const delivering = new Set<Running>();
  let streams = 0;
  let connection: Connection = 'connecting';
  let isRefused = false;

  const setConnection = (next: Connection) => {
    if (next === connection) return;
    connection = next;
    for (const listener of listeners) listener();
  };
  const refuse = () => {
    if (isRefused) return;
    isRefused = true;
    chooser.stop();
    onRefused();
  };
  const chooser = createChooser((way) => {
    if (way !== 'socket') setConnection('connecting');
    for (const each of running) each.leave();
    for (const each of running) start(each, way);
  });
  const server: LiveServer = { url: `${origin}/graphql`, headers: authorization, onRefused: refuse };
  const poller = createPoller(server, {
    onAnswer: () => chooser.getWay() === 'polling' && setConnection('polling'),
    onBreak: () => chooser.getWay() === 'polling' && setConnection('connecting'),
  });
  const socket = openSocket(origin, {
    authorization,
    getWaitMs: chooser.getSocketWaitMs,
    onRefused: refuse,
    onOpened() {
      chooser.socketOpened();
      setConnection('open');
    },
    onClosed() {
      if (chooser.getWay() === 'socket') setConnection('connecting');
      chooser.socketClosed();
    },
  });

  function start(each: Running, way: Way): void {
    let isLeft = false;
    const whileHere = (then: () => void) => {
      if (!isLeft) then();
    };
    const finish = (then: () => void) =>
      whileHere(() => {
        running.delete(each);
        each.leave();
        then();
      });
    const sink: LiveSink = {
      next: (result) => whileHere(() => each.sink.next(result)),
      error: (error) => finish(() => each.sink.error(error)),
      complete: () => finish(() => each.sink.complete()),
    };
    const stop = ask(each, way, sink);
    each.leave = () => {
      if (isLeft) return;
      isLeft = true;
      stop();
    };
  }

  function ask(each: Running, way: Way, sink: LiveSink): () => void {
    const { request } = each;
    if (way === 'socket') {
      const { subscription: query, variables } = request;
      return socket.subscribe(
        { query, variables },
        {
          next: (result) => sink.next(result as Parameters<LiveSink['next']>[0]),
          error: sink.error,
          complete: sink.complete,
        },
      );
    }
    if (way === 'polling' || streams >= MAX_STREAMS) return poller.add(request, sink);
    streams++;
    const close = openEventStream(server, request, sink, {
      onDelivery() {
        delivering.add(each);
        setConnection('events');
      },
      onWithheld: chooser.streamWithheld,
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

  return {
    getConnection: () => connection,
    onConnection(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    subscribe(request, sink) {
      const each: Running = { request, sink, leave: () => {} };
      running.add(each);
      start(each, chooser.getWay());
      return () => {
        running.delete(each);
        each.leave();
      };
    },
  };
}
