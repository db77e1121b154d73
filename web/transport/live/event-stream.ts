import { createEventParser } from '@inferql/client/sse';
import { isRefusal, type LiveRequest, type LiveServer, type LiveSink, parseResult, post } from './request.ts';

/** What one event stream reports besides its results. */
export interface StreamReports {
  /** The first result came. */
  onDelivery(): void;
  /** The present state, which the server sends at once, did not come: something holds it back or answers itself. */
  onWithheld(): void;
  /** The server cannot be reached, or the stream broke off. */
  onBreak(): void;
}

/** A subscription begins with the present state. */
const MAX_FIRST_EVENT_MS = 4_000;
/** The server sends a comment every 12 seconds. */
const MAX_SILENCE_MS = 30_000;

/**
 * Subscribes over one event stream.
 * @returns the way to stop; nothing is told after that
 */
export function openEventStream(
  server: LiveServer,
  { subscription, variables }: LiveRequest,
  sink: LiveSink,
  { onDelivery, onWithheld, onBreak }: StreamReports,
): () => void {
  const stop = new AbortController();
  const { signal } = stop;
  let hasDelivered = false;
  let timer = setTimeout(withhold, MAX_FIRST_EVENT_MS);

  function withhold() {
    if (signal.aborted) return;
    end();
    onWithheld();
  }
  function end() {
    clearTimeout(timer);
    stop.abort();
  }
  function breakOff(error: unknown) {
    if (signal.aborted) return;
    end();
    onBreak();
    sink.error(error);
  }
  const tell = (text: string) => {
    const result = parseResult(text);
    if (!result) return withhold();
    if (isRefusal(result)) server.onRefused();
    if (!hasDelivered) onDelivery();
    hasDelivered = true;
    sink.next(result);
  };
  const complete = () => {
    if (signal.aborted) return;
    end();
    sink.complete();
  };
  const read = async (body: ReadableStream<Uint8Array>) => {
    const reader = body.getReader();
    const decoder = new TextDecoder();
    const parse = createEventParser();
    while (!signal.aborted) {
      const { done, value } = await reader.read();
      if (done) throw new TypeError('The event stream broke off');
      if (hasDelivered) listen();
      for (const { event, data } of parse(decoder.decode(value, { stream: true }))) {
        if (signal.aborted) return;
        if (event === 'complete') return complete();
        if (event !== 'next') continue;
        tell(data);
        listen();
      }
    }
  };
  const listen = () => {
    clearTimeout(timer);
    if (!signal.aborted) timer = setTimeout(() => breakOff(new TypeError('The server fell silent')), MAX_SILENCE_MS);
  };

  void (async () => {
    const response = await post(server, 'text/event-stream', subscription, variables, signal);
    if (response.body && response.headers.get('content-type')?.startsWith('text/event-stream')) {
      await read(response.body);
      return;
    }
    const text = await response.text();
    // A gateway whose server is away for now: event streams may well pass it.
    if (response.status >= 500 && !parseResult(text)) throw new TypeError(`HTTP ${response.status}`);
    tell(text);
    complete();
  })().catch(breakOff);

  return end;
}
