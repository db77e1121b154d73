/** The Yoga plugin for multipart requests with files. */

import { EventEmitter } from 'node:events';
import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import type { ReadableStream as NodeReadableStream } from 'node:stream/web';
import { formatBytes } from '@inferql/settings/format-bytes';
import type { GraphQLParams, Plugin, YogaInitialContext } from 'graphql-yoga';
import type { Config } from '../config.ts';
import type { FileStore, FileStores } from './memory-or-disk-store.ts';
import { describeMistake, tooLarge } from './multipart-errors.ts';
import { readForm } from './multipart-reader.ts';
import type { UploadedPart } from './uploaded-file.ts';
import { countVariableUses } from './variable-uses.ts';

/** The Node request that Yoga passes on; absent if the app is called through fetch. */
interface NodeContext {
  req?: IncomingMessage;
  res?: ServerResponse;
}

const MAX_FIELD_BYTES = 256 * 1024;

type Limits = Pick<Config, 'maxUploadBytes' | 'maxImages' | 'maxBodyBytes'>;

/**
 * Reads multipart requests while they arrive. Small files stay in memory, up to a total limit; the others go to the upload folder.
 * Each is freed once nobody needs it, or with the response, even if the client disconnects. Malformed bodies are answered with 400,
 * oversized ones with 413, before anything is executed.
 */
export function useUploads(config: Limits, files: Pick<FileStores, 'open'>): Plugin {
  const { maxBodyBytes } = config;
  const limits = {
    maxFiles: config.maxImages,
    maxFileBytes: config.maxUploadBytes,
    maxFieldBytes: MAX_FIELD_BYTES,
    maxBodyBytes,
  };
  const ends = new WeakMap<Request, EventEmitter>();
  const partsOf = new WeakMap<Request, UploadedPart[]>();

  return {
    onRequestParse({ request, serverContext, setRequestParser }) {
      if (request.method !== 'POST' || !/^multipart\/form-data\b/i.test(request.headers.get('content-type') ?? ''))
        return;
      if (Number(request.headers.get('content-length') ?? 0) > maxBodyBytes)
        throw tooLarge(`The request is larger than the ${formatBytes(maxBodyBytes)} that this server accepts.`);
      setRequestParser(async () => {
        const { req, res } = serverContext as NodeContext;
        const source = req && res ? { body: req, headers: req.headers, end: res } : adaptFetch(request, ends);
        const stores: FileStore[] = [];
        let hasEnded = false;
        source.end.once('close', () => {
          hasEnded = true;
          for (const store of stores) store.free();
        });
        const form = await readForm(source.body, source.headers, limits, (expectedBytes) => {
          const store = files.open(expectedBytes);
          // A map may be read after an early answer.
          if (hasEnded) store.free();
          stores.push(store);
          return store;
        });
        partsOf.set(request, form.parts);
        return form.params as GraphQLParams;
      });
    },
    onExecute({ args }) {
      const parts = partsOf.get((args.contextValue as YogaInitialContext).request) ?? [];
      if (parts.length === 0) return;
      const uses = countVariableUses(args.document, args.operationName);
      for (const { variables, expectUses } of parts) {
        expectUses(variables.reduce((sum, name) => sum + (uses.get(name) ?? 0), 0));
      }
    },
    onSubscribe({ args, setResultAndStopExecution }) {
      // Files are kept until the response has ended, and a stream can stay open for hours.
      if (partsOf.has((args.contextValue as YogaInitialContext).request))
        setResultAndStopExecution({ errors: [describeMistake('subscription')] });
    },
    onResponse({ request }) {
      ends.get(request)?.emit('close');
    },
  };
}

/** Without a Node request: tests, and other servers that use fetch. */
function adaptFetch(request: Request, ends: WeakMap<Request, EventEmitter>) {
  const body = request.body ? Readable.fromWeb(request.body as unknown as NodeReadableStream) : Readable.from([]);
  const end = new EventEmitter();
  ends.set(request, end);
  return { body, headers: Object.fromEntries(request.headers) as IncomingHttpHeaders, end };
}
