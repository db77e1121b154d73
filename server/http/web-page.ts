import { createHash } from 'node:crypto';
import { type Dirent, readdirSync, readFileSync } from 'node:fs';
import { extname, join, relative, sep } from 'node:path';
import { promisify } from 'node:util';
import { brotliCompress, constants } from 'node:zlib';
import type { Plugin } from 'graphql-yoga';
import { GRAPHIQL_PAGE } from './graphiql.ts';

const TYPES: Record<string, string> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.webmanifest': 'application/manifest+json',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.jpg': 'image/jpeg',
  '.webp': 'image/webp',
  '.avif': 'image/avif',
  '.ico': 'image/x-icon',
  '.txt': 'text/plain; charset=utf-8',
  '.woff2': 'font/woff2',
};
const COMPRESSIBLE = /^(text|application)\/|svg/;

/** Own scripts and styles only; photographs are shown from memory (blob:), heatmaps from data URIs. */
const PAGE_POLICY =
  "default-src 'self'; img-src 'self' blob: data:; style-src 'self' 'unsafe-inline'; connect-src 'self' ws: wss:; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'";

const compress = promisify(brotliCompress);

interface PageFile {
  body: Buffer;
  type: string;
  etag: string;
  /** Its name changes with its content. */
  immutable: boolean;
  brotli: Promise<Buffer> | undefined;
}

/**
 * Serves the built web page: `/` and the links `/p/<id>` give index.html, all else by its exact name. The files are read once, at
 * the start, so no request reaches the file system. Without a built page it serves nothing.
 */
export function useWebPage(webDir: string): Plugin {
  const files = readFiles(webDir);
  return {
    async onRequest({ request, url, fetchAPI, endResponse }) {
      if (files.size === 0 || (request.method !== 'GET' && request.method !== 'HEAD')) return;
      const path = url.pathname === '/' || /^\/p\/[\w.-]{1,200}$/.test(url.pathname) ? '/index.html' : url.pathname;
      const file = files.get(path);
      if (!file) return;
      const headers: Record<string, string> = {
        'content-type': file.type,
        etag: file.etag,
        'cache-control': file.immutable ? 'public, max-age=31536000, immutable' : 'no-cache',
        vary: 'accept-encoding',
      };
      if (path === '/index.html') headers['content-security-policy'] = PAGE_POLICY;
      if (request.headers.get('if-none-match') === file.etag) {
        return endResponse(new fetchAPI.Response(null, { status: 304, headers }));
      }
      let body = file.body;
      if (COMPRESSIBLE.test(file.type) && /\bbr\b/.test(request.headers.get('accept-encoding') ?? '')) {
        file.brotli ??= compress(body, { params: { [constants.BROTLI_PARAM_QUALITY]: 9 } });
        body = await file.brotli;
        headers['content-encoding'] = 'br';
      }
      headers['content-length'] = String(body.length);
      endResponse(new fetchAPI.Response(request.method === 'HEAD' ? null : new Uint8Array(body), { headers }));
    },
  };
}

/** By the path in the URL. */
function readFiles(webDir: string): Map<string, PageFile> {
  const files = new Map<string, PageFile>();
  let entries: Dirent[] = [];
  try {
    entries = readdirSync(webDir, { recursive: true, withFileTypes: true });
  } catch {
    return files;
  }
  for (const entry of entries) {
    const type = TYPES[extname(entry.name)];
    // GraphiQL's page has an address and a switch of its own.
    if (!entry.isFile() || !type || entry.name === GRAPHIQL_PAGE) continue;
    const name = join(entry.parentPath, entry.name);
    const body = readFileSync(name);
    const path = `/${relative(webDir, name).split(sep).join('/')}`;
    const etag = `"${createHash('sha256').update(body).digest('base64url').slice(0, 22)}"`;
    files.set(path, { body, type, etag, immutable: path.startsWith('/assets/'), brotli: undefined });
  }
  return files;
}
