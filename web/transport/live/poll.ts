import { isRefusal, type LiveRequest, type LiveServer, type LiveSink, parseResult, post } from './request.ts';

/** Asks for the state of many subscriptions again and again. */
export interface Poller {
  /** @returns the way to stop; nothing is told after that */
  add(request: LiveRequest, sink: LiveSink): () => void;
}

/** Whether the server answered. */
export interface PollReports {
  onAnswer(): void;
  onBreak(): void;
}

interface Polled {
  request: LiveRequest;
  sink: LiveSink;
  stop: AbortController;
  shown: string;
}

const INTERVAL_MS = 1_000;
const MAX_ANSWER_MS = 20_000;
/** A browser has six connections a site over HTTP/1.1; the others are for uploads and event streams. */
const POLLS_AT_ONCE = 2;

/** Asks for each once a second, two at a time; where there are so many that this takes longer, each waits for its turn. */
export function createPoller(server: LiveServer, { onAnswer, onBreak }: PollReports): Poller {
  const line: Polled[] = [];
  let running = 0;

  const advance = () => {
    while (running < POLLS_AT_ONCE) {
      const polled = line.shift();
      if (!polled) return;
      if (polled.stop.signal.aborted) continue;
      running++;
      void ask(polled).finally(() => {
        running--;
        advance();
      });
    }
  };
  const enter = (polled: Polled) => {
    if (polled.stop.signal.aborted) return;
    line.push(polled);
    advance();
  };
  const ask = async (polled: Polled) => {
    const { request, sink, stop } = polled;
    const { signal } = stop;
    try {
      const either = AbortSignal.any([signal, AbortSignal.timeout(MAX_ANSWER_MS)]);
      const response = await post(server, 'application/json', request.query, request.variables, either);
      const text = await response.text();
      if (signal.aborted) return;
      const result = parseResult(text);
      if (!result) throw new TypeError(`Not an answer of the API (HTTP ${response.status})`);
      onAnswer();
      if (isRefusal(result)) server.onRefused();
      if (polled.shown !== text) sink.next(isForgotten(result.data) ? FORGOTTEN : result);
      polled.shown = text;
      if (!signal.aborted) setTimeout(() => enter(polled), INTERVAL_MS);
    } catch (error) {
      if (signal.aborted) return;
      stop.abort();
      onBreak();
      sink.error(error);
    }
  };

  return {
    add(request, sink) {
      const stop = new AbortController();
      enter({ request, sink, stop, shown: '' });
      return () => stop.abort();
    },
  };
}

/** What a subscription answers where a query has null. */
const FORGOTTEN = {
  errors: [{ message: 'The server does not know it, or no longer.', extensions: { code: 'NOT_FOUND' } }],
};

function isForgotten(data: unknown): boolean {
  return typeof data === 'object' && data !== null && Object.values(data).includes(null);
}
