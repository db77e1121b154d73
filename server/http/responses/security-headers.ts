import type { Plugin } from 'graphql-yoga';

/** Headers of every response. */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'x-frame-options': 'DENY',
};

/**
 * Headers for all responses. Node decides whether the connection stays open, since it knows whether the client asked to close it.
 * While the server shuts down, `Connection: close` keeps clients from sending more requests on their connection.
 */
export function useSecurityHeaders(isDraining: () => boolean): Plugin {
  return {
    onResponse({ response }) {
      for (const [name, value] of Object.entries(SECURITY_HEADERS)) response.headers.set(name, value);
      // The framework's multipart answers keep alive what the client wants closed. Deleting what is not there would copy all headers.
      if (response.headers.has('connection')) response.headers.delete('connection');
      if (isDraining()) response.headers.set('connection', 'close');
    },
  };
}
