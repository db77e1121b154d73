/** Reads images from URLs, without becoming a way into the networks that only this server can reach. */
import { createSemaphore } from '@inferql/images/semaphore';
import { InferqlError } from '@inferql/queue/error-codes';
import type { Agent, Dispatcher } from 'undici';
import type { FileStore } from '../uploads/memory-or-disk-store.ts';
import { fileTooLarge, type UploadedFile } from '../uploads/uploaded-file.ts';
import { createPublicLookup } from './public-lookup.ts';
import { checkUrl, type UrlRules } from './url-rules.ts';

/** At most this many URLs are read at once; tenants take turns. */
const CONCURRENCY = 16;
const CONNECT_MS = 5_000;
const HEADERS_MS = 5_000;
/** Longest silence in the body. */
const SILENCE_MS = 5_000;
const MAX_REDIRECTS = 3;
const REDIRECTS = [301, 302, 303, 307, 308];

export interface ImageFetcherOptions extends UrlRules {
  maxUploadBytes: number;
  /** For one image, its redirects and the wait for its turn. @default 15,000 */
  totalMs?: number;
  /** DNS servers, `address:port`. @default the system's */
  nameServers?: readonly string[];
  openFile(): FileStore;
}

export interface FetchRequest {
  tenant: string;
  /** Aborted when the caller has gone. */
  signal: AbortSignal | undefined;
}

interface Agents {
  /** Connects to public addresses only. */
  forPublic: Agent;
  /** For hosts that the operator has listed. */
  forListed: Agent;
}

export class ImageFetcher {
  readonly #options: ImageFetcherOptions;
  readonly #totalMs: number;
  #agents: Promise<Agents> | undefined;
  readonly #inTurn = createSemaphore(CONCURRENCY);

  constructor(options: ImageFetcherOptions) {
    this.#options = options;
    this.#totalMs = options.totalMs ?? 15_000;
  }

  /**
   * The image at a URL, as a file for resolvers. It is read when somebody waits for it, and at most once.
   * Its `arrived` throws InferqlError IMAGE_URL_REFUSED, IMAGE_URL_FAILED or TOO_LARGE.
   */
  open(text: string, request: FetchRequest): UploadedFile {
    const store = this.#options.openFile();
    const released = new AbortController();
    let fetched: Promise<void> | undefined;
    const arrived = () => {
      fetched ??= this.#fetch(text, store, request, released.signal);
      return fetched;
    };
    return {
      arrived,
      async readBytes() {
        await arrived();
        return store.readBytes();
      },
      release() {
        released.abort();
        store.free();
      },
    };
  }

  async close(): Promise<void> {
    const agents = await this.#agents;
    await Promise.all([agents?.forPublic.destroy(), agents?.forListed.destroy()]);
  }

  async #fetch(text: string, store: FileStore, { tenant, signal }: FetchRequest, released: AbortSignal): Promise<void> {
    const timer = new AbortController();
    const timeout = setTimeout(() => timer.abort(), this.#totalMs);
    const stop = AbortSignal.any([timer.signal, released, ...(signal ? [signal] : [])]);
    try {
      // Refused at once, without a turn.
      checkUrl(text, this.#options);
      await this.#inTurn(stop, () => this.#follow(text, store, stop), tenant);
      store.end();
      await store.arrived();
    } catch (error) {
      const known = [error, (error as Error | undefined)?.cause].find((item) => item instanceof InferqlError);
      throw known ?? new InferqlError('IMAGE_URL_FAILED', { cause: error });
    } finally {
      clearTimeout(timeout);
    }
  }

  async #follow(text: string, store: FileStore, signal: AbortSignal): Promise<void> {
    this.#agents ??= openAgents(this.#options.nameServers);
    const { forPublic, forListed } = await this.#agents;
    let next = text;
    let isSecure = false;
    for (let hop = 0; hop <= MAX_REDIRECTS; hop++) {
      const { url, mayBePrivate } = checkUrl(next, this.#options);
      if (isSecure && url.protocol !== 'https:') break;
      isSecure = url.protocol === 'https:';
      const response = await (mayBePrivate ? forListed : forPublic).request({
        origin: url.origin,
        path: url.pathname + url.search,
        method: 'GET',
        // Compressed bodies could expand without end.
        headers: { accept: 'image/*', 'accept-encoding': 'identity', 'user-agent': 'InferQL' },
        signal,
      });
      const location = REDIRECTS.includes(response.statusCode) ? response.headers.location : undefined;
      if (location === undefined) return await this.#receive(response, store);
      drop(response);
      if (typeof location !== 'string' || !URL.canParse(location, url.href)) break;
      next = new URL(location, url).href;
    }
    throw new Error('too many redirects, or one from https to http');
  }

  async #receive({ statusCode, headers, body }: Dispatcher.ResponseData, store: FileStore): Promise<void> {
    const encoding = headers['content-encoding'];
    if (statusCode !== 200 || (encoding !== undefined && encoding !== 'identity')) {
      drop({ body });
      throw new Error(`status ${statusCode}, encoding ${encoding}`);
    }
    const { maxUploadBytes } = this.#options;
    const tooLarge = fileTooLarge(maxUploadBytes);
    if (Number(headers['content-length'] ?? 0) > maxUploadBytes) {
      drop({ body });
      throw tooLarge;
    }
    let bytes = 0;
    // Leaving the loop closes the connection.
    for await (const chunk of body) {
      bytes += (chunk as Buffer).length;
      if (bytes > maxUploadBytes) throw tooLarge;
      await store.write(chunk as Buffer);
    }
  }
}

/** Closes the connection: the body may be endless. */
function drop({ body }: Pick<Dispatcher.ResponseData, 'body'>): void {
  body.on('error', () => undefined).destroy();
}

/** With the first URL: most servers are never sent one, and the library takes a tenth of a start. */
async function openAgents(nameServers: readonly string[] | undefined): Promise<Agents> {
  const { Agent } = await import('undici');
  const timeouts = { headersTimeout: HEADERS_MS, bodyTimeout: SILENCE_MS };
  const lookup = createPublicLookup(nameServers);
  return {
    forPublic: new Agent({ ...timeouts, connect: { timeout: CONNECT_MS, lookup } }),
    forListed: new Agent({ ...timeouts, connect: { timeout: CONNECT_MS } }),
  };
}
