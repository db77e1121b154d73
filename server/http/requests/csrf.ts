import { useCSRFPrevention } from '@graphql-yoga/plugin-csrf-prevention';
import { ERRORS } from '@inferql/queue/error-codes';
import { GraphQLError, getOperationAST } from 'graphql';
import type { Plugin } from 'graphql-yoga';

/** Each of these makes a browser send a preflight request, so the page that sends it was allowed to. */
export const CSRF_HEADERS = ['x-graphql-yoga-csrf', 'apollo-require-preflight', 'graphql-require-preflight'];

/**
 * Refuses what another web page can make a browser send without a preflight request: uploads, forms and plain text, and every
 * mutation without the header. GET needs no header, since a browser's EventSource cannot send one: it cannot change anything, and the other page
 * cannot read the answer. Mutations on a WebSocket are not checked here: its upgrade checks the origin.
 */
export function useCsrfHeader(): Plugin {
  const prevention = useCSRFPrevention({ requestHeaders: CSRF_HEADERS });
  return {
    onRequestParse(payload) {
      if (payload.request.method !== 'POST') return;
      try {
        prevention.onRequestParse?.(payload);
      } catch {
        // The library's error neither names the header nor has a code.
        throw missingHeader();
      }
    },
    onExecute({ args, context, setResultAndStopExecution }) {
      if (getOperationAST(args.document, args.operationName)?.operation !== 'mutation') return;
      if (CSRF_HEADERS.some((name) => context.request.headers.has(name))) return;
      setResultAndStopExecution({ errors: [missingHeader()] });
    },
  };
}

function missingHeader(): GraphQLError {
  const { message, httpStatus } = ERRORS.CSRF_HEADER_MISSING;
  return new GraphQLError(message, { extensions: { code: 'CSRF_HEADER_MISSING', http: { status: httpStatus } } });
}
