/** Subscriptions over server-sent events. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { ERRORS, type ErrorCode } from '@inferql/queue/error-codes';
import { type ExecutionArgs, type ExecutionResult, GraphQLError } from 'graphql';
import type { Plugin, YogaInitialContext } from 'graphql-yoga';
import type { Logger } from 'pino';
import type { Config } from '../../config.ts';
import type { ServerContext } from '../../schema/context.ts';
import { createResultMask } from '../operations/error-mask.ts';
import { executeSubscription } from '../operations/execute-subscription.ts';
import { PING_EVERY_MS } from '../ping-interval.ts';
import { accepts } from '../requests/accepted-types.ts';
import { removeFrameworkListeners } from './framework-listeners.ts';

type Results = AsyncIterableIterator<ExecutionResult>;

/** Whether a GET was a HEAD. */
export interface HeadContext {
  isHead?: boolean;
}

const HEADERS = {
  'content-type': 'text/event-stream',
  'cache-control': 'no-cache',
  // Proxies that buffer would hold events back.
  'x-accel-buffering': 'no',
};
const PING = ':\n\n';
/** Event id of a complete stream's end. A browser's EventSource sends it back when it reopens the stream. */
const DONE = 'done';

/**
 * Server-sent events through Node's response: a server holds thousands of subscriptions, and the framework's objects around each
 * (request, response, streams, a chain of iterators) take more memory than everything else. Must be the last plugin, so that the
 * others' headers are set. Without a Node response (tests with fetch), the framework sends the events.
 * @param ownsRequests whether nobody else reads the Node requests, so that what they hold can be freed
 */
export function useEventStreams(
  config: Pick<Config, 'introspection'>,
  log: Logger,
  { ownsRequests }: { ownsRequests: boolean },
): Plugin {
  const subscriptions = new WeakMap<Request, Results>();
  const streams = new WeakMap<Response, Results>();
  const open = new Set<ServerResponse>();
  const mask = createResultMask(config, log);
  /** HEAD has the headers of a stream, without opening a source. */
  const noResults = (request: Request) => {
    const results = (async function* (): Results {})();
    subscriptions.set(request, results);
    return results;
  };
  const pings = setInterval(() => {
    for (const response of open) if (!response.writableNeedDrain) response.write(PING);
  }, PING_EVERY_MS);
  pings.unref();

  return {
    onDispose: () => clearInterval(pings),

    onRequest({ request, endResponse, fetchAPI }) {
      // The only answer that keeps an EventSource from reconnecting forever.
      if (request.headers.get('last-event-id') === DONE) endResponse(new fetchAPI.Response(null, { status: 204 }));
    },

    onSubscribe({ args: { contextValue }, setSubscribeFn, setResultAndStopExecution }) {
      const { request, isHead } = contextValue as YogaInitialContext & HeadContext;
      // Otherwise the framework would find out only after the subscription was opened, and would not close it.
      if (!accepts(request, 'text/event-stream')) return setResultAndStopExecution({ errors: [noEventStream()] });
      if (isHead) return setSubscribeFn(async () => noResults(request));
      setSubscribeFn(async (args: ExecutionArgs) => {
        const { request, caller, services } = args.contextValue as ServerContext & { request: Request };
        const contextValue: ServerContext = { caller, services, signal: undefined };
        const results = await executeSubscription({ ...args, contextValue }, mask);
        if (Symbol.asyncIterator in results) subscriptions.set(request, results);
        return results;
      });
    },

    async onResultProcess({ request, resultProcessor, setResultProcessor, serverContext }) {
      const results = subscriptions.get(request);
      if (!results) return;
      if (!resultProcessor) return void (await results.return?.());
      if (!(serverContext as { res?: ServerResponse }).res) return;
      setResultProcessor((_result, fetchAPI) => {
        // A copy: the framework writes further headers into the object that it is given.
        const response = new fetchAPI.Response(null, { headers: { ...HEADERS } });
        streams.set(response, results);
        return response;
      }, 'text/event-stream');
    },

    onResponse({ response, serverContext }) {
      const results = streams.get(response);
      if (!results) return;
      const { res } = serverContext as unknown as { res: ServerResponse };
      res.writeHead(response.status, Object.fromEntries(response.headers));
      open.add(res);
      sendEvents(res, results, ownsRequests)
        .catch((error) => {
          log.error({ err: error }, 'could not send events');
          res.destroy();
        })
        .finally(() => open.delete(res));
      // The framework has nothing more to do: a promise that never settles and that nobody holds is collected with all it holds.
      return new Promise<void>(() => undefined);
    },
  };
}

const noEventStream = () =>
  new GraphQLError(
    'A subscription is answered as an event stream. Send Accept: text/event-stream, or use a WebSocket.',
    {
      extensions: { code: 'BAD_REQUEST', http: { status: 406 } },
    },
  );

/** Ends with the results, and ends them if the client disconnects. */
async function sendEvents(response: ServerResponse, results: Results, ownsRequest: boolean): Promise<void> {
  const leave = () => void results.return?.();
  if (response.destroyed) return leave();
  // The response may stay open for hours. What is no longer needed is a fifth of a subscription's memory.
  if (ownsRequest) emptyRequest(response.req);
  // By them, a mutation notices that its caller has gone.
  removeFrameworkListeners(response);
  // A connection that breaks closes the response, which is enough.
  response.on('error', () => undefined);
  response.once('close', leave);
  // Written separately: together with what follows they would stay in memory in a hundred pieces.
  response.flushHeaders();
  // Some browsers treat a response as open only once data has arrived.
  response.write(PING);
  let last: ExecutionResult | undefined;
  for await (const result of results) {
    last = result;
    if (response.write(`event: next\ndata: ${JSON.stringify(result)}\n\n`) || response.destroyed) continue;
    // A slow reader skips intermediate states: the source keeps only the newest one.
    await new Promise<void>((resolve) => {
      const goOn = () => {
        response.off('drain', goOn).off('close', goOn);
        resolve();
      };
      response.on('drain', goOn).on('close', goOn);
    });
  }
  response.end(`event: complete\ndata:\n${mayGoOn(last) ? '' : `id: ${DONE}\n`}\n`);
}

/** Whether a retry can help after the stream's end: this server shuts down, or Redis is unavailable. */
function mayGoOn(last: ExecutionResult | undefined): boolean {
  return (last?.errors ?? []).some(({ extensions }) => {
    const { code } = extensions;
    return typeof code !== 'string' || !Object.hasOwn(ERRORS, code) || ERRORS[code as ErrorCode].retryable;
  });
}

function emptyRequest(request: IncomingMessage): void {
  request.url = '';
  request.headers = {};
  request.rawHeaders = [];
}
