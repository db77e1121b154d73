import type { Plugin } from 'graphql-yoga';
import { SECURITY_HEADERS } from './bare-answer.ts';

/** Headers for all responses. While the server shuts down, `Connection: close` keeps clients from sending more requests on their connection. */
export function useSecurityHeaders(isDraining: () => boolean): Plugin {
  return {
    onResponse({ response }) {
      for (const [name, value] of Object.entries(SECURITY_HEADERS)) response.headers.set(name, value);
      if (isDraining()) response.headers.set('connection', 'close');
    },
  };
}
