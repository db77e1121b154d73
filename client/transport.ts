/** GraphQL over HTTP: JSON, multipart requests for files, server-sent events for subscriptions. */
import { parseAnswer, readData } from './answer.ts';
import type { ClientOptions } from './api.ts';
import { findRefusedOrigin } from './cross-origin.ts';
import { InferqlError } from './errors.ts';
import { createSharedLine } from './shared-line.ts';
import { createEventParser } from './sse.ts';
import { canReportProgress, createUploadFetch } from './upload-fetch.ts';

/** A typed document, as the code generator writes it. */
export interface Document<Data, Variables> {
  toString(): string;
  __apiType?: (variables: Variables) => Data;
}

interface SendOptions<Variables> {
  signal?: AbortSignal | undefined;
  /** Sent as `variables[name]`. */
  file?: { name: keyof Variables & string; blob: Blob };
  /** Whether there is one answer and nothing deferred: it comes as JSON, which no proxy holds back. */
  isSingle?: boolean;
  /** Gets the share of the file that was sent, 0 to 1. Called in browsers only: other environments do not report it. */
  onProgress?: ((share: number) => void) | undefined;
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
  /**
   * Sends the text of a query.
   * @returns the text of the response, and the response for its status and headers
   * @throws InferqlError, UNREACHABLE if there is none; the signal's reason once it is aborted
   */
  ask(query: string, variables: object, signal?: AbortSignal): Promise<{ text: string; response: Response }>;
  /** The headers that show who calls. */
  authorization(): Promise<Record<string, string>>;
}

export type TransportSettings = Required<Pick<ClientOptions, 'requestTimeoutMs' | 'idleTimeoutMs'>> &
  Pick<ClientOptions, 'fetch' | 'headers' | 'key'> & { url: URL };

const JSON_ACCEPT = 'application/graphql-response+json, application/json';
const JSON_TYPE = { 'content-type': 'application/json' };

export function createTransport(settings: TransportSettings): Transport {
  const { url, requestTimeoutMs, idleTimeoutMs } = settings;
  // Looked up per call, so that it is the global fetch at the time of the request.
  const plainFetch: typeof fetch = settings.fetch ?? ((input, init) => fetch(input, init));
  const line = createSharedLine(requestTimeoutMs);
  let hasAnswered = false;

  async function authorization(): Promise<Record<string, string>> {
    const key = typeof settings.key === 'function' ? await settings.key() : settings.key;
    return key ? { authorization: `Bearer ${key}` } : {};
  }

  async function send(
    body: BodyInit,
    headers: Record<string, string>,
    signal: AbortSignal,
    through = plainFetch,
  ): Promise<Response> {
    const own = typeof settings.headers === 'function' ? await settings.headers() : settings.headers;
    const response = await through(url, {
      method: 'POST',
      // The server accepts mutations and uploads only with this header, so that no other web page can send them.
      headers: { ...headers, 'x-graphql-yoga-csrf': '1', ...(await authorization()), ...own },
      body,
      signal,
    });
    hasAnswered = true;
    return response;
  }

  /** Why a request got no response. */
  async function explain(cause: unknown, file?: Blob): Promise<InferqlError> {
    if (cause instanceof InferqlError) return cause;
    if (file && !(await isReadable(file))) {
      return new InferqlError('UNREADABLE_FILE', 'The file was changed, moved or removed.', { cause });
    }
    const origin = hasAnswered ? undefined : await findRefusedOrigin(url, plainFetch);
    if (origin) {
      const message = `${url.origin} does not accept requests from pages of ${origin}. Add this origin to the server's INFERQL_CORS_ORIGINS.`;
      return new InferqlError('BAD_RESPONSE', message, { cause });
    }
    return new InferqlError('UNREACHABLE', `No answer from ${url.origin}.`, { cause });
  }

  const ask: Transport['ask'] = async (query, variables, signal) => {
    // Everything but uploads and subscriptions is answered at once.
    const timeout = AbortSignal.timeout(Math.min(requestTimeoutMs, idleTimeoutMs));
    const either = signal ? AbortSignal.any([signal, timeout]) : timeout;
    try {
      const response = await send(JSON.stringify({ query, variables }), { accept: JSON_ACCEPT, ...JSON_TYPE }, either);
      return { text: await response.text(), response };
    } catch (error) {
      signal?.throwIfAborted();
      throw await explain(error);
    }
  };

  return {
    ask,
    authorization,

    async execute(document, variables, signal) {
      const { text, response } = await ask(document.toString(), variables, signal);
      return readData(parseAnswer(text), response);
    },

    async *stream<Data, Variables extends object>(
      document: Document<Data, Variables>,
      variables: Variables,
      { signal, file, onProgress, isSingle = false }: SendOptions<Variables> = {},
    ) {
      const silence = new AbortController();
      const either = signal ? AbortSignal.any([signal, silence.signal]) : silence.signal;
      let timer: ReturnType<typeof setTimeout> | undefined;
      const expectMore = (withinMs: number) => {
        clearTimeout(timer);
        timer = setTimeout(() => silence.abort(), withinMs);
      };
      const upload = line.begin(file?.blob.size ?? 0);
      const expectResponse = () => {
        const leftMs = upload.leftMs();
        if (leftMs <= 0) silence.abort();
        else timer = setTimeout(expectResponse, leftMs);
      };
      const report = (share: number) => {
        upload.advance();
        onProgress?.(share);
      };
      const uploadFetch = onProgress && !settings.fetch && canReportProgress() ? createUploadFetch(report) : undefined;
      let reader: ReadableStreamDefaultReader<Uint8Array> | undefined;
      expectResponse();
      try {
        const operation = { query: document.toString(), variables };
        const response = file
          ? await send(
              multipartBody(operation, file),
              { accept: isSingle ? JSON_ACCEPT : 'text/event-stream' },
              either,
              uploadFetch,
            )
          : await send(JSON.stringify(operation), { accept: 'text/event-stream', ...JSON_TYPE }, either);
        upload.end();
        if (!response.body || !response.headers.get('content-type')?.startsWith('text/event-stream')) {
          yield { data: readData<Data>(parseAnswer(await response.text()), response) };
          return;
        }
        reader = response.body.getReader();
        const decoder = new TextDecoder();
        const parse = createEventParser();
        for (;;) {
          expectMore(idleTimeoutMs);
          const { done, value } = await reader.read();
          if (done) throw new InferqlError('UNREACHABLE', 'The server closed the connection.');
          for (const { event, data } of parse(decoder.decode(value, { stream: true }))) {
            if (event === 'complete') return;
            clearTimeout(timer);
            if (event !== 'next') continue;
            const answer = parseAnswer(data);
            yield answer && !answer.errors && !answer.data
              ? { deferred: (answer.incremental ?? []).map((piece) => piece.data) }
              : { data: readData<Data>(answer, response) };
          }
        }
      } catch (error) {
        signal?.throwIfAborted();
        throw await explain(error, file?.blob);
      } finally {
        upload.end();
        clearTimeout(timer);
        // Ends the request if the reader of the answers left early.
        reader?.cancel().catch(() => {});
      }
    },
  };
}

/** A request of the GraphQL multipart request specification, with one file. */
function multipartBody(operation: object, { name, blob }: { name: string; blob: Blob }): FormData {
  const form = new FormData();
  form.append('operations', JSON.stringify(operation));
  form.append('map', JSON.stringify({ 0: [`variables.${name}`] }));
  // With a fixed name: the file's name may contain characters that are not allowed in headers.
  form.append('0', blob, 'image');
  return form;
}

/** Whether the file is unchanged: nothing reads one that was changed, moved or removed since it was chosen. */
function isReadable(file: Blob): Promise<boolean> {
  return file
    .slice(0, 1)
    .arrayBuffer()
    .then(
      () => true,
      () => false,
    );
}
