import { classifyImage } from './classify.ts';
import { CancelDocument, ModelsDocument, QueueDocument, ReadDocument } from './generated/graphql.ts';
import { classifyAll, classifyEach } from './many.ts';
import { withRetries } from './retry.ts';
import { createTransport } from './transport.ts';
import type { ClassifyOptions, Client, ClientOptions, ImageInput, SucceededPrediction } from './types.ts';
import { selectFields, watchPrediction, watchQueue } from './watch.ts';

const DEFAULT_URL = 'http://127.0.0.1:4000/graphql';

/** A client whose images are read by `readImage`. */
export function createClientWith<Image>(
  readImage: (image: Image) => Blob | Promise<Blob>,
  options: ClientOptions = {},
): Client<Image> {
  const { retryForMs = 30_000 } = options;
  const transport = createTransport({
    url: endpointOf(options.url ?? DEFAULT_URL),
    headers: options.headers,
    key: options.key,
    // Looked up per call, so that it is the global fetch at the time of the request.
    fetch: options.fetch ?? ((input, init) => fetch(input, init)),
    requestTimeoutMs: options.requestTimeoutMs ?? 120_000,
    idleTimeoutMs: options.idleTimeoutMs ?? 30_000,
  });
  const execute: typeof transport.execute = (document, variables, signal) =>
    withRetries(retryForMs, signal, () => transport.execute(document, variables, signal));

  const client: Client<Image> = {
    async classify<Name extends string>(image: Image, classifyOptions: ClassifyOptions<Name> = {}) {
      const prediction = await classifyImage(transport, retryForMs, await readImage(image), classifyOptions);
      // The declared labels are those of the server that `inferql types` asked.
      return prediction as SucceededPrediction as never;
    },
    classifyAll: (images, manyOptions) => classifyAll(client.classify, images, manyOptions),
    classifyEach: (images, manyOptions) => classifyEach(client.classify, images, manyOptions),
    watch: (id, watchOptions) => watchPrediction(transport, retryForMs, id, watchOptions),
    async prediction(id, readOptions = {}) {
      const variables = { id, ...selectFields(readOptions) };
      return (await execute(ReadDocument, variables, readOptions.signal)).prediction ?? null;
    },
    async cancel(id, readOptions = {}) {
      const variables = { id, ...selectFields(readOptions) };
      return (await execute(CancelDocument, variables, readOptions.signal)).cancelPrediction ?? null;
    },
    async models({ signal } = {}) {
      return (await execute(ModelsDocument, {}, signal)).models;
    },
    async queue(model, { signal } = {}) {
      return (await execute(QueueDocument, { model: model ?? null }, signal)).queue ?? null;
    },
    watchQueue: (model, { signal } = {}) => watchQueue(transport, retryForMs, model, signal),
  };
  return client;
}

/**
 * A client of one server, for browsers and Node.
 * @throws TypeError if the url is not an HTTP URL
 * @example
 * const client = createClient({ url: 'https://inferql.example.org/graphql' });
 * const { result } = await client.classify(input.files[0]);
 * console.log(result.labels[0].name);
 */
export function createClient(options?: ClientOptions): Client<ImageInput> {
  return createClientWith(blobOf, options);
}

/** Turns bytes into a Blob; returns a Blob unchanged. */
export function blobOf(image: ImageInput): Blob {
  if (image instanceof Blob) return image;
  if (image instanceof ArrayBuffer) return new Blob([image]);
  if (image instanceof Uint8Array) return new Blob([image as Uint8Array<ArrayBuffer>]);
  throw new TypeError('an image is a Blob, an ArrayBuffer or a Uint8Array');
}

function endpointOf(url: string | URL): URL {
  const endpoint = new URL(url);
  if (!/^https?:$/.test(endpoint.protocol) || endpoint.username || endpoint.password) {
    throw new TypeError(
      'the url begins with http:// or https://, and holds no user and password: those are for `headers`',
    );
  }
  if (endpoint.pathname === '/') endpoint.pathname = '/graphql';
  return endpoint;
}
