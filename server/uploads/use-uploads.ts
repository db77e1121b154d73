import { EventEmitter } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable, Transform } from 'node:stream';
import { finished } from 'node:stream/promises';
import type { ReadableStream as NodeReadableStream } from 'node:stream/web';
import { InferqlError } from '@inferql/queue/errors';
import { GraphQLError } from 'graphql';
import { type FileUpload, processRequest } from 'graphql-upload-ts';
import type { GraphQLParams, Plugin, YogaInitialContext } from 'graphql-yoga';
import type { Config } from '../config.ts';
import { collectBody, parseSmallForm } from './multipart-memory.ts';
import { countVariableUses } from './upload-references.ts';
import { markUpload } from './upload-scalar.ts';
import { createPart, type UploadedPart } from './uploaded-file.ts';

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
 * arrives, and is removed once nobody needs it or with the response, also when the client goes away in the middle. Malformed
 * bodies answer 400, oversized ones 413, before anything is executed.
 */
export function useUploads({
  maxUploadBytes,
  maxImages,
  maxBodyBytes,
}: Pick<Config, 'maxUploadBytes' | 'maxImages' | 'maxBodyBytes'>): Plugin {
  const released = new WeakMap<Request, EventEmitter>();
  const partsOf = new WeakMap<Request, UploadedPart[]>();
  let heldBytes = 0;

  /** Memory for a small request until its files were released or its response has ended; undefined where none is left. */
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
          const form = parseSmallForm(body, req.headers['content-type'] ?? '', limits, release);
          if (form) {
            partsOf.set(request, form.parts);
            return form.params as GraphQLParams;
          }
          source = {
            body: Object.assign(Readable.from([body]), { headers: req.headers }) as IncomingMessage,
            response: res,
          };
        }
        const limited = limitBody(source.body, maxBodyBytes);
        skipRepeatedFiles(limited.body);
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
          partsOf.set(
            request,
            wrapUploads(params, describe, () => isAnswered),
          );
          return params as unknown as GraphQLParams;
        } catch (error) {
          throw describe(error);
        }
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

function isSystemError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error;
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

/**
 * Keeps parts of a name that came before from the library: it would spool each, and release only the first, where it is read, and
 * the last.
 */
function skipRepeatedFiles(body: IncomingMessage): void {
  const pipe = body.pipe.bind(body);
  body.pipe = (parser) => {
    const names = new Set<unknown>();
    const emit = parser.emit.bind(parser) as (event: unknown, ...args: unknown[]) => boolean;
    parser.emit = (event: unknown, ...args: unknown[]) => {
      const [name, content] = args;
      if (event !== 'file' || !names.has(name)) {
        if (event === 'file') names.add(name);
        return emit(event, ...args);
      }
      (content as Readable).on('error', () => undefined).resume();
      return true;
    };
    return pipe(parser);
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

/** Replaces the library's uploads, at any depth of the variables, by files that resolvers may read. */
function wrapUploads(
  params: object,
  describe: (error: unknown) => GraphQLError,
  isAnswered: () => boolean,
): UploadedPart[] {
  const uploads = new Map<PendingUpload, Place[]>();
  const { variables } = params as { variables?: unknown };
  for (const [name, value] of entriesOf(variables)) {
    findUploads({ holder: variables as Record<string, unknown>, key: name, variable: name }, value, uploads);
  }
  return [...uploads].map(([upload, places]) => {
    // The library lets go at the response's end what has come by then, but a file may come after an early refusal.
    const releaseLate = (file: FileUpload) => isAnswered() && file.capacitor.release();
    upload.promise.then(releaseLate, () => undefined);
    const part = createPart(
      storeOf(upload, describe),
      places.map(({ variable }) => variable),
    );
    markUpload(part.file);
    for (const { holder, key } of places) holder[key] = part.file;
    return part;
  });
}

interface Place {
  holder: Record<string, unknown>;
  key: string;
  /** The variable that it lies in. */
  variable: string;
}

function findUploads(place: Place, value: unknown, uploads: Map<PendingUpload, Place[]>): void {
  if (isPendingUpload(value)) {
    uploads.set(value, [...(uploads.get(value) ?? []), place]);
    return;
  }
  for (const [key, inner] of entriesOf(value)) {
    findUploads({ holder: value as Record<string, unknown>, key, variable: place.variable }, inner, uploads);
  }
}

function entriesOf(value: unknown): [string, unknown][] {
  return typeof value === 'object' && value !== null ? Object.entries(value) : [];
}

function isPendingUpload(value: unknown): value is PendingUpload {
  return typeof value === 'object' && value !== null && 'promise' in value && value.promise instanceof Promise;
}

/** A file on disk. */
function storeOf({ promise }: PendingUpload, describe: (error: unknown) => GraphQLError) {
  async function use<T>(task: (file: FileUpload) => Promise<T>): Promise<T> {
    const file = await promise.catch((error) => {
      throw describe(error);
    });
    try {
      await finished(file.capacitor, { readable: false });
      return await task(file);
    } catch (error) {
      // Of one file only its own size has this status.
      if (statusOf(error) === 413) throw new InferqlError('TOO_LARGE');
      // A full disk is no fault of the body's.
      throw isSystemError(error) ? error : describe(error);
    }
  }
  return {
    arrived: () => use(async () => undefined),
    readBytes: () =>
      use(async (file) => {
        const chunks: Buffer[] = [];
        for await (const chunk of file.createReadStream()) chunks.push(chunk as Buffer);
        return Buffer.concat(chunks);
      }),
    free() {
      promise.then(
        (file) => file.capacitor.release(),
        () => undefined,
      );
    },
  };
}
