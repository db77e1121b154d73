import { EventEmitter } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable, Transform } from 'node:stream';
import type { ReadableStream as NodeReadableStream } from 'node:stream/web';
import { GraphQLError } from 'graphql';
import { type FileUpload, processRequest } from 'graphql-upload-ts';
import type { GraphQLParams, Plugin } from 'graphql-yoga';
import { InferqlError } from '../queue/errors.ts';
import type { Config } from './config.ts';
import { collectBody, parseSmallForm } from './small-form.ts';
import { markUpload } from './upload-scalar.ts';

/** What Yoga passes on of the Node request; absent where the app is called by fetch. */
interface NodeContext {
  req?: IncomingMessage;
  res?: ServerResponse;
}

/** The library's promise for one file. */
interface PendingUpload {
  promise: Promise<FileUpload>;
}

const MAX_FIELD_BYTES = 256 * 1024;
/** Most photographs of a web page or a phone's messenger are smaller. */
const SMALL_BODY_BYTES = 1024 * 1024;
/** What small requests may hold in memory together; beyond it they go to disk as the others do. */
const MAX_HELD_BYTES = 64 * 1024 * 1024;

/**
 * Reads multipart requests. Small ones stay in memory; of the others each file goes to the spool folder (`TMPDIR`) while it
 * arrives, and is removed once it was read or with the response, also when the client goes away in the middle. Malformed bodies
 * answer 400, oversized ones 413, before anything is executed.
 */
export function useUploads({
  maxUploadBytes,
  maxImages,
  maxBodyBytes,
}: Pick<Config, 'maxUploadBytes' | 'maxImages' | 'maxBodyBytes'>): Plugin {
  const released = new WeakMap<Request, EventEmitter>();
  let heldBytes = 0;

  /** Memory for a small request until its files were read or its response has ended; undefined where none is left. */
  function reserve({ headers }: IncomingMessage, response: ServerResponse): (() => void) | undefined {
    const bytes = headers['content-length'] === undefined ? Number.NaN : Number(headers['content-length']);
    if (!(bytes <= SMALL_BODY_BYTES) || heldBytes + bytes > MAX_HELD_BYTES) return undefined;
    heldBytes += bytes;
    let isHeld = true;
    const release = () => {
      if (isHeld) heldBytes -= bytes;
      isHeld = false;
    };
    response.once('close', release);
    return release;
  }

  return {
    onRequestParse({ request, serverContext, setRequestParser }) {
      if (request.method !== 'POST' || !/^multipart\/form-data\b/i.test(request.headers.get('content-type') ?? ''))
        return;
      if (Number(request.headers.get('content-length') ?? 0) > maxBodyBytes)
        throw httpError(413, 'The request is too large.');
      setRequestParser(async () => {
        const { req, res } = serverContext as NodeContext;
        let source = req && res ? { body: req, response: res } : adaptFetch(request, released);
        const release = req && res && reserve(req, res);
        if (req && res && release) {
          const body = await collectBody(req).catch((error) => {
            throw describeFailure(error, false);
          });
          const limits = { maxFiles: maxImages, maxFileBytes: maxUploadBytes, maxFieldBytes: MAX_FIELD_BYTES };
          const params = parseSmallForm(body, req.headers['content-type'] ?? '', limits, release);
          if (params) return params as GraphQLParams;
          source = {
            body: Object.assign(Readable.from([body]), { headers: req.headers }) as IncomingMessage,
            response: res,
          };
        }
        const limited = limitBody(source.body, maxBodyBytes);
        let isAnswered = false;
        (source.response as EventEmitter).once('close', () => {
          isAnswered = true;
          // Answered before it was read: the rest goes nowhere, but must be taken off the connection for the next request.
          limited.body.unpipe();
          limited.body.resume();
        });
        const describe = (error: unknown) => describeFailure(error, limited.isExceeded());
        try {
          const params = await processRequest(limited.body, source.response as ServerResponse, {
            // The first size that the library refuses.
            maxFileSize: maxUploadBytes + 1,
            maxFiles: maxImages,
            maxFieldSize: MAX_FIELD_BYTES,
          });
          wrapUploads(params, describe, () => isAnswered);
          return params as unknown as GraphQLParams;
        } catch (error) {
          throw describe(error);
        }
      });
    },
    onResponse({ request }) {
      released.get(request)?.emit('close');
    },
  };
}

function httpError(status: number, message: string): GraphQLError {
  return new GraphQLError(message, {
    extensions: { code: status === 413 ? 'REQUEST_TOO_LARGE' : 'BAD_REQUEST', http: { status } },
  });
}

/** The library's own errors have a status; the parser's have none, and mean that the body is no multipart form. */
function describeFailure(error: unknown, isTooLarge: boolean): GraphQLError {
  if (isTooLarge) return httpError(413, 'The request is too large.');
  if (statusOf(error) === 413) return httpError(413, 'The request has too many files, or a field that is too large.');
  return httpError(400, 'The body is not a whole GraphQL multipart request.');
}

function statusOf(error: unknown): unknown {
  return error instanceof Error && 'status' in error ? error.status : undefined;
}

/** A body that announces its length was checked by that; one that does not is cut where it passes the limit. */
function limitBody(source: IncomingMessage, maxBodyBytes: number) {
  if (source.headers['content-length'] !== undefined) return { body: source, isExceeded: () => false };
  let bytes = 0;
  let exceeded = false;
  const body = new Transform({
    transform(chunk: Buffer, _encoding, callback) {
      bytes += chunk.length;
      exceeded ||= bytes > maxBodyBytes;
      if (!exceeded) return callback(null, chunk);
      source.unpipe(body).resume();
      body.destroy();
    },
  });
  source.once('close', () => {
    if (!source.readableEnded) body.destroy();
  });
  source.pipe(body);
  return {
    body: Object.assign(body, { headers: source.headers }) as unknown as IncomingMessage,
    isExceeded: () => exceeded,
  };
}

/** Where there is no Node request: tests, and other servers that speak fetch. */
function adaptFetch(request: Request, released: WeakMap<Request, EventEmitter>) {
  const body = request.body ? Readable.fromWeb(request.body as unknown as NodeReadableStream) : Readable.from([]);
  const response = new EventEmitter();
  released.set(request, response);
  return {
    body: Object.assign(body, { headers: Object.fromEntries(request.headers) }) as unknown as IncomingMessage,
    response,
  };
}

/** Replaces the library's uploads, at any depth of the variables, by files that a resolver may read. */
function wrapUploads(holder: unknown, describe: (error: unknown) => GraphQLError, isAnswered: () => boolean): void {
  const places = new Map<PendingUpload, { holder: Record<string, unknown>; key: string }[]>();
  findUploads(holder, places);
  for (const [upload, found] of places) {
    // The library lets go at the response's end what has come by then, but a file may come after an early refusal.
    const releaseLate = (file: FileUpload) => isAnswered() && file.capacitor.release();
    upload.promise.then(releaseLate, () => undefined);
    // One part may stand for several variables: the last reader lets the file go.
    let unread = found.length;
    const readOnce = (): Promise<Buffer> => readFile(upload, describe, () => --unread === 0);
    for (const place of found) place.holder[place.key] = markUpload({ readBytes: readOnce });
  }
}

function findUploads(holder: unknown, places: Map<PendingUpload, { holder: Record<string, unknown>; key: string }[]>) {
  if (typeof holder !== 'object' || holder === null) return;
  for (const [key, value] of Object.entries(holder)) {
    if (isPendingUpload(value)) {
      places.set(value, [...(places.get(value) ?? []), { holder: holder as Record<string, unknown>, key }]);
    } else findUploads(value, places);
  }
}

function isPendingUpload(value: unknown): value is PendingUpload {
  return typeof value === 'object' && value !== null && 'promise' in value && value.promise instanceof Promise;
}

async function readFile(
  { promise }: PendingUpload,
  describe: (error: unknown) => GraphQLError,
  isLastReader: () => boolean,
): Promise<Buffer> {
  const file = await promise.catch((error) => {
    throw describe(error);
  });
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of file.createReadStream()) chunks.push(chunk as Buffer);
  } catch (error) {
    // Of one file only its own size has this status.
    if (statusOf(error) === 413) throw new InferqlError('TOO_LARGE');
    throw describe(error);
  } finally {
    // Not only with the response: a mutation may wait for a minute.
    if (isLastReader()) file.capacitor.release();
  }
  return Buffer.concat(chunks);
}
