import { useCSRFPrevention } from '@graphql-yoga/plugin-csrf-prevention';
import type { Plugin } from 'graphql-yoga';

/** Any of these shows that the page which sends the request was allowed to: a browser asks first. */
const HEADERS = ['x-graphql-yoga-csrf', 'apollo-require-preflight', 'graphql-require-preflight'];

/**
 * Refuses what another web page can make a browser send without asking: uploads, forms and plain text. GET goes without a header,
 * as a browser's EventSource must: it cannot change anything, and the other page cannot read the answer.
 */
export function useCsrfHeader(): Plugin {
  const prevention = useCSRFPrevention({ requestHeaders: HEADERS });
  return {
    onRequestParse(payload) {
      if (payload.request.method !== 'GET') return prevention.onRequestParse?.(payload);
    },
  };
}
