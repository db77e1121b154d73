import { defineConfig } from 'vite';

/** `npx vite examples`: the front ends, with /graphql passed on to the server. */
export default defineConfig({
  server: {
    proxy: {
      '/graphql': {
        target: process.env.INFERQL_URL ?? 'http://127.0.0.1:4000',
        changeOrigin: true,
        ws: true,
        rewriteWsOrigin: true,
      },
    },
  },
});
