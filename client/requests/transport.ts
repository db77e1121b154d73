/** GraphQL over HTTP: JSON, multipart requests for files, server-sent events for subscriptions. */

import type { ClientOptions } from '../client-types.ts';
import { InferqlError } from '../errors.ts';
import { findRefusedOrigin } from './cross-origin.ts';
import { parseAnswer, readData } from './graphql-answer.ts';
import { SilenceLimit } from './silence-limit.ts';
import { createEventParser } from './sse-parser.ts';
import { canReportProgress, createUploadFetch } from './upload-fetch.ts';
import { createSharedLine, type SharedLine, type SharedUpload } from './upload-time-limit.ts';

/** A typed document, as the code generator writes it. */
export interface Document<Data, Variables> {
  toString(): string;
  __apiType?: (variables: Variables) => Data;
}

interface SendOptions<Variables> {
  signal?: AbortSignal | undefined;
  /** Default: it is read now. */
  authorization?: Record<string, string> | undefined;
  /** Sent as `variables[name]`. */
  file?: { name: keyof Variables & string; blob: Blob };
  /** Whether there is one answer and nothing deferred: it comes as JSON, which no proxy holds back. */
  isSingle?: boolean;
  /** Gets the share of the file that was sent, 0 to 1. Called in browsers only: other environments do not report it. */
  onProgress?: ((share: number) => void) | undefined;
}

/** One answer of an operation, or the parts that were deferred. */
type Piece<Data> = { data: Data; deferred?: undefined } | { data?: undefined; deferred: unknown[] };

export type TransportSettings = Pick<ClientOptions, 'fetch' | 'headers' | 'key'> & {
  url: URL;
  requestTimeoutMs: number;
  idleTimeoutMs: number;
};

const JSON_ACCEPT = 'application/graphql-response+json, application/json';
const JSON_TYPE = { 'content-type': 'application/json' };
const EVENT_STREAM = 'text/event-stream';

export class Transport {
  readonly #settings: TransportSettings;
  readonly #line: SharedLine;
  readonly #fetch: typeof fetch;
  #hasAnswered = false;

  constructor(settings: TransportSettings) {
    this.#settings = settings;
    this.#line = createSharedLine(settings.requestTimeoutMs);
    // Looked up per call, so that it is the global fetch at the time of the request.
    this.#fetch = settings.fetch ?? ((input, init) => fetch(input, init));
  }

  /**
   * The headers that show who calls.
   * @throws InferqlError UNAUTHENTICATED if no header can have the key; what the caller's function throws
   */
  async authorization(): Promise<Record<string, string>> {
    const { key: given } = this.#settings;
    const key = (typeof given === 'function' ? await given() : given)?.trim();
    if (!key) return {};
    if (!/^[\x20-\x7e\xa0-\xff]+$/.test(key)) {
      throw new InferqlError('UNAUTHENTICATED', 'The key has characters that no key can have, such as a curly quote.');
    }
    return { authorization: `Bearer ${key}` };
  }

  /** The headers of each request. They are read before it: what `key` and `headers` throw is not a lost connection, and not retried. */
  async #makeHeaders({
    signal,
    authorization,
  }: Pick<SendOptions<object>, 'signal' | 'authorization'>): Promise<Record<string, string>> {
    try {
      const { headers: given } = this.#settings;
      const own = typeof given === 'function' ? await given() : given;
      // The server accepts mutations and uploads only with this header, so that no other web page can send them.
      const headers = { 'x-graphql-yoga-csrf': '1', ...(authorization ?? (await this.authorization())), ...own };
      // Throws if a name or a value is not valid.
      void new Headers(headers);
      return headers;
    } catch (error) {
      signal?.throwIfAborted();
      throw error;
    }
  }

  /**
   * Sends one operation and reads its answer.
   * @throws InferqlError; the signal's reason once it is aborted
   */
  async execute<Data, Variables extends object>(
    document: Document<Data, Variables>,
    variables: Variables,
    signal?: AbortSignal,
  ): Promise<Data> {
    const { text, response } = await this.ask(document.toString(), variables, signal);
    return readData(parseAnswer(text), response);
  }

  /**
   * Sends the text of a query.
   * @returns the text of the response, and the response for its status and headers
   * @throws InferqlError, UNREACHABLE if there is none; the signal's reason once it is aborted; what `key` and `headers` throw
   */
  async ask(query: string, variables: object, signal?: AbortSignal): Promise<{ text: string; response: Response }> {
    const { requestTimeoutMs, idleTimeoutMs } = this.#settings;
    const headers = await this.#makeHeaders({ signal });
    // Everything but uploads and subscriptions is answered at once.
    const timeout = AbortSignal.timeout(Math.min(requestTimeoutMs, idleTimeoutMs));
    const either = signal ? AbortSignal.any([signal, timeout]) : timeout;
    try {
      const response = await this.#sendJson({ query, variables }, { accept: JSON_ACCEPT, ...headers }, either);
      return { text: await response.text(), response };
    } catch (error) {
      signal?.throwIfAborted();
      throw await this.#explain(error);
    }
  }

  /**
   * All answers of one operation on one connection: the events of a subscription, or a mutation's data and then its deferred
   * parts.
   * @throws InferqlError, UNREACHABLE if the connection ends before the stream is complete; the signal's reason
   */
  async *stream<Data, Variables extends object>(
    document: Document<Data, Variables>,
    variables: Variables,
    options: SendOptions<Variables> = {},
  ): AsyncGenerator<Piece<Data>, void, undefined> {
    const { signal, file } = options;
    const headers = await this.#makeHeaders(options);
    const upload = this.#line.begin(file?.blob.size ?? 0);
    const silence = new SilenceLimit(upload, signal);
    try {
      const operation = { query: document.toString(), variables };
      const response = file
        ? await this.#sendFile(operation, { ...options, file }, headers, upload, silence.signal)
        : await this.#sendJson(operation, { accept: EVENT_STREAM, ...headers }, silence.signal);
      upload.end();
      if (response.body && response.headers.get('content-type')?.startsWith(EVENT_STREAM)) {
        yield* this.#readEvents<Data>(response.body, response, silence);
      } else {
        yield { data: readData<Data>(parseAnswer(await response.text()), response) };
      }
    } catch (error) {
      signal?.throwIfAborted();
      throw await this.#explain(error, file?.blob);
    } finally {
      upload.end();
      silence.pause();
    }
  }

  async *#readEvents<Data>(
    body: ReadableStream<Uint8Array>,
    response: Response,
    silence: SilenceLimit,
  ): AsyncGenerator<Piece<Data>, void, undefined> {
    const reader = body.getReader();
    const decoder = new TextDecoder();
    const parse = createEventParser();
    try {
      for (;;) {
        silence.expectMore(this.#settings.idleTimeoutMs);
        const { done, value } = await reader.read();
        if (done) throw new InferqlError('UNREACHABLE', 'The server closed the connection.');
        for (const { event, data } of parse(decoder.decode(value, { stream: true }))) {
          if (event === 'complete') return;
          silence.pause();
          if (event !== 'next') continue;
          const answer = parseAnswer(data);
          yield answer && !answer.errors && !answer.data
            ? { deferred: (answer.incremental ?? []).map((piece) => piece.data) }
            : { data: readData<Data>(answer, response) };
        }
      }
    } finally {
      // Ends the request if the reader of the answers left early.
      reader.cancel().catch(() => {});
    }
  }

  #sendFile<Variables>(
    operation: object,
    { file, onProgress, isSingle = false }: SendOptions<Variables> & Required<Pick<SendOptions<Variables>, 'file'>>,
    headers: Record<string, string>,
    upload: SharedUpload,
    signal: AbortSignal,
  ): Promise<Response> {
    const report = (share: number) => {
      upload.advance();
      onProgress?.(share);
    };
    const hasProgress = onProgress && !this.#settings.fetch && canReportProgress();
    const through = hasProgress ? createUploadFetch(report) : this.#fetch;
    return this.#send(
      multipartBody(operation, file),
      { accept: isSingle ? JSON_ACCEPT : EVENT_STREAM, ...headers },
      signal,
      through,
    );
  }

  #sendJson(operation: object, headers: Record<string, string>, signal: AbortSignal): Promise<Response> {
    return this.#send(JSON.stringify(operation), { ...JSON_TYPE, ...headers }, signal);
  }

  async #send(
    body: BodyInit,
    headers: Record<string, string>,
    signal: AbortSignal,
    through = this.#fetch,
  ): Promise<Response> {
    const response = await through(this.#settings.url, { method: 'POST', headers, body, signal });
    this.#hasAnswered = true;
    return response;
  }

  /** Why a request got no response. */
  async #explain(cause: unknown, file?: Blob): Promise<InferqlError> {
    if (cause instanceof InferqlError) return cause;
    if (file && !(await isReadable(file))) {
      return new InferqlError('UNREADABLE_FILE', 'The file was changed, moved or removed.', { cause });
    }
    const { origin: server } = this.#settings.url;
    const origin = this.#hasAnswered ? undefined : await findRefusedOrigin(this.#settings.url, this.#fetch);
    if (origin) {
      const message = `${server} does not accept requests from pages of ${origin}. Add this origin to the server's INFERQL_CORS_ORIGINS.`;
      return new InferqlError('BAD_RESPONSE', message, { cause });
    }
    return new InferqlError('UNREACHABLE', `No answer from ${server}.`, { cause });
  }
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
