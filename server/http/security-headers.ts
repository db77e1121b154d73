import type { Plugin } from 'graphql-yoga';

const HEADERS = {
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'x-frame-options': 'DENY',
};

/** Headers for all responses. While the server shuts down, clients are told to open no more requests on their connection. */
export function useSecurityHeaders(isDraining: () => boolean): Plugin {
  return {
    onResponse({ response }) {
      for (const [name, value] of Object.entries(HEADERS)) response.headers.set(name, value);
      if (isDraining()) response.headers.set('connection', 'close');
    },
  };
}
