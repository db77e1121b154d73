import { defineConfig } from 'vite';

const { INFERQL_URL = 'http://127.0.0.1:4000', INFERQL_KEY } = process.env;

/** `npx vite examples`: the front ends, with /graphql passed on to the server. The key stays here: a page must not hold one. */
export default defineConfig({
  server: {
    proxy: {
      '/graphql': {
        target: INFERQL_URL,
        changeOrigin: true,
        ws: true,
        rewriteWsOrigin: true,
        ...(INFERQL_KEY ? { headers: { authorization: `Bearer ${INFERQL_KEY}` } } : {}),
      },
    },
  },
});
