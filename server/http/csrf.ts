import { useCSRFPrevention } from '@graphql-yoga/plugin-csrf-prevention';
import { GraphQLError, getOperationAST } from 'graphql';
import type { Plugin } from 'graphql-yoga';

/** Any of these shows that the page which sends the request was allowed to: a browser asks first. */
export const CSRF_HEADERS = ['x-graphql-yoga-csrf', 'apollo-require-preflight', 'graphql-require-preflight'];

/**
 * Refuses what another web page can make a browser send without asking: uploads, forms and plain text, and every mutation that
 * does not show the header. GET goes without, as a browser's EventSource must: it cannot change anything, and the other page
 * cannot read the answer. A WebSocket's mutations do not come through here: its upgrade checks the origin.
 */
export function useCsrfHeader(): Plugin {
  const prevention = useCSRFPrevention({ requestHeaders: CSRF_HEADERS });
  return {
    onRequestParse(payload) {
      if (payload.request.method !== 'GET') return prevention.onRequestParse?.(payload);
    },
    onExecute({ args, context, setResultAndStopExecution }) {
      if (getOperationAST(args.document, args.operationName)?.operation !== 'mutation') return;
      if (CSRF_HEADERS.some((name) => context.request.headers.has(name))) return;
      const message = `Mutations need the header ${CSRF_HEADERS[0]}, with any value.`;
      setResultAndStopExecution({ errors: [new GraphQLError(message, { extensions: { http: { status: 403 } } })] });
    },
  };
}
