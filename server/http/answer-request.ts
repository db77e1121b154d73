import type { IncomingMessage, ServerResponse } from 'node:http';
import { sendNodeResponse } from '@whatwg-node/server';
import type { Logger } from 'pino';
import type { App } from './app.ts';
import { answerRaw } from './connections/raw-response.ts';
import { noteListeners } from './responses/framework-listeners.ts';
import type { HeadContext } from './responses/sse.ts';

/** Answers a Node request with the app. Errors outside the app are logged, and no detail is sent. */
export async function answerRequest(
  app: App,
  request: IncomingMessage,
  response: ServerResponse,
  log: Logger,
): Promise<void> {
  try {
    const isHead = request.method === 'HEAD';
    // GraphQL supports GET; Node sends no body for HEAD.
    if (isHead) request.method = 'GET';
    const head: HeadContext = { isHead };
    const context = { req: request, res: response, waitUntil: app.waitUntil, ...head };
    const answered = await app.handleNodeRequestAndResponse(request, noteListeners(response), context);
    await sendNodeResponse(answered, response, request, true);
  } catch (error) {
    if (response.destroyed) log.debug({ err: error }, 'client disconnected before the response');
    else log.error({ err: error }, 'could not answer a request');
    if (response.headersSent) response.destroy();
    else answerRaw(response, { status: 500, code: 'INTERNAL_SERVER_ERROR', message: 'Unexpected error.' });
  }
}
