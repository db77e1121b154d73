/** GraphQL over HTTP: JSON, multipart requests for files, server-sent events for subscriptions. */
import { findRefusedOrigin } from './cross-origin.ts';
import { errorOfCode, InferqlError } from './errors.ts';
import { createEventParser } from './sse.ts';
import type { ClientOptions } from './types.ts';

/** A typed document, as the code generator writes it. */
export interface Document<Data, Variables> {
  toString(): string;
  __apiType?: (variables: Variables) => Data;
}

interface SendOptions<Variables> {
  signal?: AbortSignal | undefined;
  /** Sent as `variables[name]`. */
  file?: { name: keyof Variables & string; blob: Blob };
}

export interface Transport {
  /**
   * Sends one operation and reads its answer.
   * @throws InferqlError; the signal's reason once it is aborted
   */
  execute<Data, Variables extends object>(
    document: Document<Data, Variables>,
    variables: Variables,
    signal?: AbortSignal,
  ): Promise<Data>;
  /**
   * All answers of one operation on one connection: the events of a subscription, or a mutation's data and then its deferred
   * parts.
   * @throws InferqlError, UNREACHABLE if the connection ends before the stream is complete; the signal's reason
   */
  stream<Data, Variables extends object>(
    document: Document<Data, Variables>,
    variables: Variables,
    options?: SendOptions<Variables>,
  ): AsyncGenerator<{ data: Data; deferred?: undefined } | { data?: undefined; deferred: unknown[] }, void, undefined>;
}

/** 256 kbit/s. There is no upload progress, so only time distinguishes a slow connection from a dead one. */
const SLOWEST_UPLOAD_BYTES_PER_MS = 32;

type Settings = Required<Pick<ClientOptions, 'fetch' | 'requestTimeoutMs' | 'idleTimeoutMs'>> & {
  url: URL;
  headers: ClientOptions['headers'];
  key: ClientOptions['key'];
};

export function createTransport(settings: Settings): Transport {
  async function send(body: BodyInit, headers: Record<string, string>, signal: AbortSignal): Promise<Response> {
    const own = typeof settings.headers === 'function' ? await settings.headers() : settings.headers;
    const key = typeof settings.key === 'function' ? await settings.key() : settings.key;
    return settings.fetch(settings.url, {
      method: 'POST',
      // The server accepts mutations and uploads only with this header, so that no other web page can send them.
      headers: {
        ...headers,
        'x-graphql-yoga-csrf': '1',
        ...(key ? { authorization: `Bearer ${key}` } : {}),
        ...own,
      },
      body,
      signal,
    });
  }

  return {
    async execute(document, variables, signal) {
      const timeout = AbortSignal.timeout(settings.requestTimeoutMs);
      const either = signal ? AbortSignal.any([signal, timeout]) : timeout;
      let response: Response;
      let text: string;
      try {
        const body = JSON.stringify({ query: document.toString(), variables });
        response = await send(
          body,
          { accept: 'application/graphql-response+json, application/json', ...jsonType },
          either,
        );
        text = await response.text();
      } catch (error) {
        signal?.throwIfAborted();
        throw await explainFailure(settings, error);
      }
      return readData(parseJson(text), response);
    },

    async *stream<Data, Variables extends object>(
      document: Document<Data, Variables>,
      variables: Variables,
      { signal, file }: SendOptions<Variables> = {},
    ) {
      const silence = new AbortController();
      const either = signal ? AbortSignal.any([signal, silence.signal]) : silence.signal;
      const uploadMs = (file?.blob.size ?? 0) / SLOWEST_UPLOAD_BYTES_PER_MS;
      let timer = setTimeout(() => silence.abort(), settings.requestTimeoutMs + uploadMs);
      let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
      try {
        const operation = { query: document.toString(), variables };
        const response = file
          ? await send(multipartBody(operation, file), { accept: 'text/event-stream' }, either)
          : await send(JSON.stringify(operation), { accept: 'text/event-stream', ...jsonType }, either);
        if (!response.body || !response.headers.get('content-type')?.startsWith('text/event-stream')) {
          yield { data: readData<Data>(parseJson(await response.text()), response) };
          return;
        }
        reader = response.body.getReader();
        const decoder = new TextDecoder();
        const parse = createEventParser();
        for (;;) {
          clearTimeout(timer);
          timer = setTimeout(() => silence.abort(), settings.idleTimeoutMs);
          const { done, value } = await reader.read();
          if (done) throw new InferqlError('UNREACHABLE', 'The server closed the connection.');
          for (const { event, data } of parse(decoder.decode(value, { stream: true }))) {
            if (event === 'complete') return;
            clearTimeout(timer);
            if (event !== 'next') continue;
            const answer = parseJson(data);
            yield answer && !answer.errors && !answer.data
              ? { deferred: (answer.incremental ?? []).map((piece) => piece.data) }
              : { data: readData<Data>(answer, response) };
          }
        }
      } catch (error) {
        signal?.throwIfAborted();
        throw error instanceof InferqlError ? error : await explainFailure(settings, error);
      } finally {
        clearTimeout(timer);
        // Ends the request if the reader of the answers left early.
        reader?.cancel().catch(() => {});
      }
    },
  };
}

const jsonType = { 'content-type': 'application/json' };

/** A request of the GraphQL multipart request specification, with one file. */
function multipartBody(operation: object, { name, blob }: { name: string; blob: Blob }): FormData {
  const form = new FormData();
  form.append('operations', JSON.stringify(operation));
  form.append('map', JSON.stringify({ 0: [`variables.${name}`] }));
  // With a fixed name: the file's name may contain characters that are not allowed in headers.
  form.append('0', blob, 'image');
  return form;
}

interface Answer {
  data?: unknown;
  incremental?: { data?: unknown }[];
  errors?: { message?: unknown; extensions?: { code?: unknown; retryAfterMs?: unknown } }[];
}

function parseJson(text: string): Answer | undefined {
  try {
    const answer: unknown = JSON.parse(text);
    return typeof answer === 'object' && answer !== null ? answer : undefined;
  } catch {
    return undefined;
  }
}

/** Returns the data of an answer, or throws its first error. */
function readData<Data>(answer: Answer | undefined, response: Response): Data {
  const error = Array.isArray(answer?.errors) ? answer.errors[0] : undefined;
  if (error) {
    const { code, retryAfterMs } = error.extensions ?? {};
    throw errorOfCode(code, typeof error.message === 'string' ? error.message : 'The server gave an error.', {
      retryAfterMs: typeof retryAfterMs === 'number' ? retryAfterMs : readRetryAfter(response),
    });
  }
  if (answer?.data && response.ok) return answer.data as Data;
  throw errorOfStatus(response);
}

/** For answers that are not GraphQL, for example from a proxy. */
function errorOfStatus(response: Response): InferqlError {
  const { status } = response;
  const details = { retryAfterMs: readRetryAfter(response) };
  if (status === 413) return new InferqlError('TOO_LARGE', 'The request is larger than the server accepts.');
  if (status === 401) return new InferqlError('UNAUTHENTICATED', 'The server requires an API key.');
  if (status === 403) return new InferqlError('FORBIDDEN', 'The server refuses this (HTTP 403).');
  if (status === 429) return new InferqlError('RATE_LIMITED', 'Too many requests.', details);
  if (status >= 502 && status <= 504) {
    return new InferqlError('UNAVAILABLE', `The server cannot be reached now (HTTP ${status}).`, details);
  }
  return new InferqlError(
    'BAD_RESPONSE',
    `Unexpected response (HTTP ${status}): this URL does not serve the InferQL API.`,
  );
}

function readRetryAfter(response: Response): number | undefined {
  const text = response.headers.get('retry-after');
  if (!text) return undefined;
  const ms = /^\d+$/.test(text) ? Number(text) * 1000 : Date.parse(text) - Date.now();
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}

async function explainFailure({ url, fetch }: Settings, cause: unknown): Promise<InferqlError> {
  // The file was changed or removed while it was sent.
  if (cause instanceof Error && [cause, cause.cause].some((each) => (each as Error)?.name === 'NotReadableError')) {
    return new InferqlError('UNREADABLE_FILE', 'The file cannot be read.', { cause });
  }
  const origin = await findRefusedOrigin(url, fetch);
  if (origin) {
    const message = `${url.origin} answers, but not to pages of ${origin}. Name this origin in the server's INFERQL_CORS_ORIGINS.`;
    return new InferqlError('BAD_RESPONSE', message, { cause });
  }
  return new InferqlError('UNREACHABLE', `No answer from ${url.origin}.`, { cause });
}
