import { readFile, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, constants } from 'node:zlib';
import * as graphiql from '@graphql-yoga/render-graphiql/graphiql';
import react from '@vitejs/plugin-react';
import { defineConfig, type Plugin } from 'vite';

const { version } = createRequire(import.meta.url)('@graphql-yoga/render-graphiql/package.json') as { version: string };
const GRAPHIQL_FILES = `/assets/graphiql-${version}`;

/**
 * Writes GraphiQL's script, style and workers next to the page as files, so that the browser caches them and the content security
 * policy need not allow inline scripts.
 */
function addGraphiqlFiles(): Plugin {
  const files = {
    js: graphiql.js,
    css: graphiql.css,
    'editorWorkerService.worker.js': graphiql.editorWorkerService,
    'json.worker.js': graphiql.jsonWorker,
    'graphql.worker.js': graphiql.graphqlWorker,
  };
  return {
    name: 'graphiql-files',
    generateBundle() {
      for (const [end, source] of Object.entries(files)) {
        this.emitFile({ type: 'asset', fileName: `${GRAPHIQL_FILES.slice(1)}.${end}`, source });
      }
    },
    transformIndexHtml: {
      order: 'post',
      handler(_html, { filename }) {
        if (!filename.endsWith('graphiql.html')) return;
        return [
          { tag: 'link', attrs: { rel: 'stylesheet', href: `${GRAPHIQL_FILES}.css` }, injectTo: 'head-prepend' },
          { tag: 'script', attrs: { defer: true, src: `${GRAPHIQL_FILES}.js` }, injectTo: 'head-prepend' },
        ];
      },
    },
  };
}

/** Shorter texts gain nothing from compression. */
const COMPRESSED_FROM_BYTES = 1024;

/** Writes a Brotli-compressed copy next to each text file (`x.js.br`): the server streams files and compresses none. */
function compressFiles(): Plugin {
  const brotli = promisify(brotliCompress);
  return {
    name: 'compress-files',
    apply: 'build',
    async writeBundle({ dir }, bundle) {
      const names = Object.keys(bundle).filter((name) => /\.(js|css|html|json|svg|txt)$/.test(name));
      await Promise.all(
        names.map(async (name) => {
          const path = join(dir!, name);
          const content = await readFile(path);
          if (content.length < COMPRESSED_FROM_BYTES) return;
          await writeFile(`${path}.br`, await brotli(content, { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } }));
        }),
      );
    },
  };
}

export default defineConfig({
  root: import.meta.dirname,
  publicDir: false,
  plugins: [react(), addGraphiqlFiles(), compressFiles()],
  // For `npm run dev`: the API is the server of the same clone.
  server: { proxy: { '/graphql': { target: `http://127.0.0.1:${process.env.PORT || 4000}`, ws: true } } },
  define: { GRAPHIQL_FILES: JSON.stringify(GRAPHIQL_FILES) },
  build: {
    outDir: '../dist/web',
    emptyOutDir: true,
    target: 'es2023',
    // The page's content security policy allows no inline script, and small pictures cache better as files.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    rollupOptions: {
      input: [join(import.meta.dirname, 'index.html'), join(import.meta.dirname, 'graphiql.html')],
    },
  },
});
