/** Reads bodies without files: size limit, decompression, and JSON parameters. */

import type { IncomingMessage, ServerResponse } from 'node:http';
import { promisify } from 'node:util';
import { brotliDecompress, gunzip, inflate } from 'node:zlib';
import { ERRORS, InferqlError } from '@inferql/queue/error-codes';
import { formatBytes } from '@inferql/settings/format-bytes';
import { GraphQLError } from 'graphql';
import type { GraphQLParams, Plugin, YogaInitialContext } from 'graphql-yoga';
import type { Config } from '../../config.ts';
import { GrowingBuffer } from '../../uploads/growing-buffer.ts';
import type { MemoryBudget } from '../../uploads/memory-or-disk-store.ts';
import { separateDataUrls } from './json-data-urls.ts';

const DECODERS = { gzip: promisify(gunzip), deflate: promisify(inflate), br: promisify(brotliDecompress) };
const JSON_TYPE = /^application\/(?:[\w.-]+\+)?json\b/i;
const FORM_TYPE = /^application\/x-www-form-urlencoded\b/i;
/** Content types that the framework or the multipart reader reads. */
const KNOWN_TYPE = /^(?:multipart\/form-data|application\/graphql|application\/x-www-form-urlencoded)\b/i;

/** Base64 takes four bytes for three. */
const DATA_URL_FACTOR = 4 / 3;
const DATA_URL_HEADER_BYTES = 1_024;
/** Until other bodies have been answered. */
const RETRY_AFTER_MS = 1_000;

type Limits = Pick<Config, 'maxQueryBytes' | 'maxUploadBytes'>;

/**
 * Reads bodies without files, with a limit on announced and actual length, compressed or plain. Reports what is wrong with a
 * request before anything is parsed. No parser's message reaches the client. A JSON body may be longer by a data URL if there is memory for it
 * among the uploads.
 */
export function useRequestBody({ maxQueryBytes, maxUploadBytes }: Limits, memory: MemoryBudget): Plugin {
  const maxJsonBytes = maxQueryBytes + Math.ceil(maxUploadBytes * DATA_URL_FACTOR) + DATA_URL_HEADER_BYTES;
  const held = new WeakMap<Request, { body: GrowingBuffer; free: () => void }>();
  return {
    onRequestParse({ request, url, requestParser, setRequestParser, fetchAPI, serverContext }) {
      if (request.method === 'GET') return checkParameters(url.searchParams, 'URL');
      if (request.method !== 'POST') return;
      const type = request.headers.get('content-type') ?? '';
      const encoding = readEncoding(request.headers.get('content-encoding'));
      if (!JSON_TYPE.test(type) && !KNOWN_TYPE.test(type)) {
        throw refuse(
          'UNSUPPORTED_MEDIA_TYPE',
          'Send the request as application/json, or with files as multipart/form-data.',
        );
      }
      if (/^multipart\//i.test(type)) {
        if (encoding)
          throw refuse(
            'UNSUPPORTED_MEDIA_TYPE',
            'Send multipart bodies uncompressed: compression does not make images smaller.',
          );
        return;
      }
      const maxBytes = JSON_TYPE.test(type) && !encoding ? maxJsonBytes : maxQueryBytes;
      if (Number(request.headers.get('content-length') ?? 0) > maxBytes) throw tooLarge(maxQueryBytes);
      const parse = requestParser;
      setRequestParser(async (whole) => {
        const { res } = serverContext as NodeContext;
        const body = new GrowingBuffer(maxBytes, beyond(maxQueryBytes, memory));
        const free = () => body.free();
        // Until the response has ended: the variables keep the data URL.
        res?.once('close', free);
        held.set(request, { body, free });
        const sent = await readBytes(whole, serverContext, body, maxQueryBytes);
        const bytes = encoding ? await decode(sent, encoding, maxQueryBytes) : sent;
        if (JSON_TYPE.test(type)) return parseJson(bytes, maxQueryBytes);
        if (FORM_TYPE.test(type)) checkParameters(new URLSearchParams(bytes.toString('utf8')), 'form');
        if (!parse) throw refuse('UNSUPPORTED_MEDIA_TYPE', 'Send the request as application/json.');
        const headers = new fetchAPI.Headers(whole.headers);
        for (const name of ['content-encoding', 'content-length']) headers.delete(name);
        return parse(
          new fetchAPI.Request(whole.url, {
            method: 'POST',
            headers,
            signal: whole.signal,
            body: new Uint8Array(bytes),
          }),
        );
      });
    },
    onSubscribe({ args, setResultAndStopExecution }) {
      const { request, res } = args.contextValue as YogaInitialContext & NodeContext;
      const sent = held.get(request);
      if (!sent) return;
      // A stream can stay open for hours, and would keep memory of the uploads that long.
      if (sent.body.bytes().length > maxQueryBytes)
        return setResultAndStopExecution({ errors: [tooLarge(maxQueryBytes)] });
      sent.free();
      res?.off('close', sent.free);
    },
    onResponse({ request, serverContext }) {
      if (!(serverContext as NodeContext).res) held.get(request)?.free();
    },
  };
}

/** Memory that is asked for from the `free`-th byte on. */
function beyond(freeBytes: number, memory: MemoryBudget): Pick<MemoryBudget, 'take' | 'give'> {
  let taken = 0;
  const over = (bytes: number) => Math.max(0, bytes - freeBytes);
  return {
    take(bytes) {
      const more = over(taken + bytes) - over(taken);
      if (more > 0 && !memory.take(more)) return false;
      taken += bytes;
      return true;
    },
    give(bytes) {
      memory.give(over(taken) - over(taken - bytes));
      taken -= bytes;
    },
  };
}

type Encoding = keyof typeof DECODERS;

function readEncoding(header: string | null): Encoding | undefined {
  const name = (header ?? 'identity').trim().toLowerCase();
  if (name === 'identity' || name === '') return undefined;
  // RFC 9110, 8.4.1.3.
  if (name === 'x-gzip') return 'gzip';
  if (Object.hasOwn(DECODERS, name)) return name as Encoding;
  throw refuse('UNSUPPORTED_MEDIA_TYPE', 'The Content-Encoding is not supported. Expected gzip, deflate or br.');
}

async function decode(bytes: Buffer, encoding: Encoding, maxBytes: number): Promise<Buffer> {
  try {
    return await DECODERS[encoding](bytes, { maxOutputLength: maxBytes });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') throw tooLarge(maxBytes);
    throw refuse('BAD_REQUEST', `The body is not encoded as its Content-Encoding says: ${encoding}.`);
  }
}

interface NodeContext {
  /** Absent if a host application calls `fetch`. Some frameworks read the body and put it into `body`. */
  req?: IncomingMessage & { body?: unknown };
  res?: ServerResponse;
}

async function readBytes(request: Request, context: object, body: GrowingBuffer, maxBytes: number): Promise<Buffer> {
  const { req, res } = context as NodeContext;
  const isUnread = req && req.body === undefined && !req.readableDidRead;
  if (isUnread) await readNodeBody(req, res, body, maxBytes);
  else await readWebBody(request, body, maxBytes);
  return body.bytes();
}

/** A client may send each byte in a chunk, and a web stream costs a hundred times as much per chunk as Node's events. */
function readNodeBody(
  req: IncomingMessage,
  res: ServerResponse | undefined,
  body: GrowingBuffer,
  maxBytes: number,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      req.off('data', onData).off('end', onEnd).off('error', onLost).off('close', onLost).pause();
      res?.off('close', onAnswered);
    };
    const onData = (chunk: Buffer) => {
      if (body.add(chunk)) return;
      // The rest is left unread: closing the connection now would lose the answer.
      stop();
      reject(doesNotFit(body, chunk, maxBytes));
    };
    const onEnd = () => {
      stop();
      resolve();
    };
    const onLost = () => {
      stop();
      reject(bodyLost());
    };
    // A body that was too slow has been refused: what still comes is dropped, and not executed.
    const onAnswered = () => {
      onLost();
      req.resume();
    };
    res?.on('close', onAnswered);
    req.on('data', onData).on('end', onEnd).on('error', onLost).on('close', onLost);
  });
}

async function readWebBody(request: Request, body: GrowingBuffer, maxBytes: number): Promise<void> {
  if (!request.body) return;
  const reader = request.body.getReader();
  const readPart = () =>
    reader.read().catch(() => {
      throw bodyLost();
    });
  for (let part = await readPart(); !part.done; part = await readPart()) {
    // The body is left unread, not canceled: canceling would close the connection before the answer.
    if (!body.add(part.value)) throw doesNotFit(body, part.value, maxBytes);
  }
}

/** The client is gone: nobody reads this answer, and it is not the server's fault. */
const bodyLost = () => refuse('BAD_REQUEST', 'The body ended before it was complete.');

function parseJson(bytes: Buffer, maxBytes: number): GraphQLParams {
  const { rest, restore } =
    bytes.length > maxBytes ? separateDataUrls(bytes) : { rest: bytes, restore: () => undefined };
  if (rest.length > maxBytes) throw tooLarge(maxBytes);
  let value: unknown;
  try {
    value = JSON.parse(rest.toString('utf8'));
  } catch {
    throw refuse(
      'BAD_REQUEST',
      'The body is not JSON. In a shell, put it into single quotes, and its names and texts into double ones.',
    );
  }
  if (typeof value === 'object' && value !== null) {
    restore(value);
    return value as GraphQLParams;
  }
  throw refuse('BAD_REQUEST', "The body is not a JSON object with 'query' and 'variables'.");
}

/** Checks that the parameters `variables` and `extensions` of a URL or a form are JSON. @throws GraphQLError BAD_REQUEST */
function checkParameters(parameters: URLSearchParams, place: 'URL' | 'form'): void {
  for (const name of ['variables', 'extensions']) {
    const text = parameters.get(name);
    if (!text) continue;
    try {
      JSON.parse(text);
    } catch {
      throw refuse('BAD_REQUEST', `The parameter '${name}' of the ${place} is not JSON.`);
    }
  }
}

/** Either the body is too long, or there is no memory for it now. */
function doesNotFit(body: GrowingBuffer, chunk: Uint8Array, maxBytes: number): Error {
  return body.bytes().length + chunk.length > body.maxBytes
    ? tooLarge(maxBytes)
    : new InferqlError('UNAVAILABLE', { retryAfterMs: RETRY_AFTER_MS });
}

function tooLarge(maxBytes: number): GraphQLError {
  return refuse(
    'REQUEST_TOO_LARGE',
    `The request is larger than the ${formatBytes(maxBytes)} that this server accepts without files.`,
  );
}

function refuse(code: 'BAD_REQUEST' | 'REQUEST_TOO_LARGE' | 'UNSUPPORTED_MEDIA_TYPE', message: string): GraphQLError {
  return new GraphQLError(message, { extensions: { code, http: { status: ERRORS[code].httpStatus } } });
}
