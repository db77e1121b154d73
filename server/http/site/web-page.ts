/** Serves the built web page. */
import { once } from 'node:events';
import { type Dirent, ReadStream, readdirSync } from 'node:fs';
import type { ServerResponse } from 'node:http';
import { extname, join, relative, sep } from 'node:path';
import type { Readable } from 'node:stream';
import { send } from '@fastify/send';
import type { Plugin } from 'graphql-yoga';
import type { Logger } from 'pino';
import { prefersEncoding } from '../requests/accepted-encodings.ts';
import { PAGE_POLICY } from './content-security-policies.ts';
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
/** The build writes Brotli-compressed files next to those that become smaller. */
const COMPRESSED = '.br';

interface PageFile {
  type: string;
  /** True if the file's name changes with its content. */
  isImmutable: boolean;
  isCompressed: boolean;
}

/**
 * Serves the built web page: `/` and the links `/p/<id>` give index.html, other files by their exact names. The list of files is
 * read once, at the start. Each answer streams its file, so that it takes no more memory than one chunk. Without a built page it
 * serves nothing.
 */
export function useWebPage(webDir: string, log: Logger): Plugin {
  const files = listFiles(webDir);
  return {
    async onRequest({ request, url, fetchAPI, serverContext, endResponse }) {
      if (files.size === 0 || (request.method !== 'GET' && request.method !== 'HEAD')) return;
      const path = url.pathname === '/' || /^\/p\/[\w.-]{1,200}\/?$/.test(url.pathname) ? '/index.html' : url.pathname;
      const file = files.get(path);
      if (!file) return;
      const isCompressed = file.isCompressed && prefersEncoding(request, 'br');
      const asked = { method: request.method, headers: Object.fromEntries(request.headers) } as unknown as Readable;
      const found = await send(asked, isCompressed ? path + COMPRESSED : path, {
        root: webDir,
        index: false,
        dotfiles: 'ignore',
        contentType: false,
        cacheControl: false,
      });
      const headers: Record<string, string> = {
        ...lowerCase(found.headers),
        'cache-control': file.isImmutable ? 'public, max-age=31536000, immutable' : 'no-cache',
        vary: 'accept-encoding',
      };
      if (found.type === 'file') {
        headers['content-type'] = file.type;
        if (isCompressed) headers['content-encoding'] = 'br';
        if (path === '/index.html') headers['content-security-policy'] = PAGE_POLICY;
      }
      const hasBody = request.method === 'GET' && found.statusCode !== 304;
      if (hasBody) await opened(found.stream, serverContext as { res?: ServerResponse }, log);
      else found.stream.destroy();
      const body = hasBody ? (found.stream as unknown as BodyInit) : null;
      endResponse(new fetchAPI.Response(body, { status: found.statusCode, headers }));
    },
  };
}

/** Resolves when the file is open. Rejects if it cannot be opened: the process has no handles left, or the file is gone. */
async function opened(stream: Readable, { res }: { res?: ServerResponse }, log: Logger): Promise<void> {
  // If the client has gone, nobody reads the file, and nothing else would close it.
  if (res?.closed) stream.destroy();
  else res?.once('close', () => stream.destroy());
  if (stream instanceof ReadStream && stream.pending) await once(stream, 'open');
  stream.on('error', (error) => {
    log.error({ err: error }, 'could not read a file of the web page');
    res?.destroy();
  });
}

function lowerCase(headers: Record<string, unknown>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), String(value)]));
}

/** By the path in the URL. */
function listFiles(webDir: string): Map<string, PageFile> {
  const files = new Map<string, PageFile>();
  let entries: Dirent[] = [];
  try {
    entries = readdirSync(webDir, { recursive: true, withFileTypes: true });
  } catch {
    return files;
  }
  const pathOf = (entry: Dirent) => `/${relative(webDir, join(entry.parentPath, entry.name)).split(sep).join('/')}`;
  const paths = new Set(entries.filter((entry) => entry.isFile()).map(pathOf));
  for (const path of paths) {
    const type = TYPES[extname(path)];
    // GraphiQL's page has another address and its own setting.
    if (!type || path === `/${GRAPHIQL_PAGE}`) continue;
    files.set(path, { type, isImmutable: path.startsWith('/assets/'), isCompressed: paths.has(path + COMPRESSED) });
  }
  return files;
}
