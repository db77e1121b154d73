import type { SucceededPrediction } from './answers/answer-types.ts';
import { classifyImage, submitImage } from './classify/classify.ts';
import { classifyAll, classifyEach } from './classify/classify-each.ts';
import { createSemaphore } from './classify/semaphore.ts';
import type { CallOptions, ClassifyOptions, Client, ClientOptions, ImageInput } from './client-types.ts';
import { CancelDocument, LimitsDocument, ModelsDocument, QueueDocument, ReadDocument } from './generated/graphql.ts';
import { withRetries } from './requests/retry.ts';
import { Transport } from './requests/transport.ts';
import { endWhenLeft } from './subscriptions/leaving.ts';
import { SharedSubscriber } from './subscriptions/shared-subscriber.ts';
import { createStreamSubscriber } from './subscriptions/stream-subscriber.ts';
import { selectFields, watchPrediction, watchQueue } from './subscriptions/watch.ts';

const DEFAULT_URL = 'http://127.0.0.1:4000/graphql';

/** A client whose images are read by `readImage`. */
export function createClientWith<Image>(
  readImage: (image: Image) => Blob | Promise<Blob>,
  options: ClientOptions = {},
): Client<Image> {
  const { requestTimeoutMs = 120_000, idleTimeoutMs = 30_000, maxUploads = Number.POSITIVE_INFINITY } = options;
  if (!(maxUploads >= 1)) throw new RangeError('maxUploads must be at least 1');
  const url = endpointOf(options.url ?? DEFAULT_URL);
  const transport = new Transport({ ...options, url, requestTimeoutMs, idleTimeoutMs });
  const subscriber =
    options.subscriptions === 'shared'
      ? new SharedSubscriber({ url, transport, onConnection: options.onConnection })
      : createStreamSubscriber(transport);
  const uploads = { transport, subscriber, semaphore: createSemaphore(maxUploads) };

  /** A call's options, with the client's as defaults. */
  function complete<Call extends Pick<CallOptions, 'retryForMs' | 'onRetry'>>(call: Call | undefined): Call {
    return {
      ...call!,
      retryForMs: call?.retryForMs ?? options.retryForMs ?? 30_000,
      onRetry: call?.onRetry ?? options.onRetry,
    };
  }

  const client: Client<Image> = {
    async classify<Name extends string>(image: Image, call?: ClassifyOptions<Name>) {
      const prediction = await classifyImage(uploads, await readImage(image), complete<ClassifyOptions>(call));
      // The declared labels are those of the server that `inferql types` asked.
      return prediction as SucceededPrediction as never;
    },
    submit: async (image, call) => submitImage(uploads, await readImage(image), complete<ClassifyOptions>(call)),
    classifyAll: (images, call) => classifyAll(client.classify, images, call),
    classifyEach: (images, call) => classifyEach(client.classify, images, call),
    watch: (id, call) =>
      endWhenLeft((signal) => watchPrediction(subscriber, id, { ...complete(call), signal }), call?.signal),
    async prediction(id, given) {
      const call = complete(given);
      const variables = { id, ...selectFields(call) };
      return (
        (await withRetries(call, () => transport.execute(ReadDocument, variables, call.signal))).prediction ?? null
      );
    },
    async cancel(id, given) {
      const call = complete(given);
      const variables = { id, ...selectFields(call) };
      return (
        (await withRetries(call, () => transport.execute(CancelDocument, variables, call.signal))).cancelPrediction ??
        null
      );
    },
    async models(given) {
      const call = complete(given);
      return (await withRetries(call, () => transport.execute(ModelsDocument, {}, call.signal))).models;
    },
    async limits(given) {
      const call = complete(given);
      return (await withRetries(call, () => transport.execute(LimitsDocument, {}, call.signal))).limits;
    },
    async queue(model, given) {
      const call = complete(given);
      const variables = { model: model ?? null };
      return (await withRetries(call, () => transport.execute(QueueDocument, variables, call.signal))).queue ?? null;
    },
    watchQueue: (model, call) =>
      endWhenLeft((signal) => watchQueue(subscriber, model, { ...complete(call), signal }), call?.signal),
  };
  return client;
}

/**
 * A client of one server, for browsers and Node.
 * @throws TypeError if the url is not an HTTP URL, RangeError if `maxUploads` is less than 1
 * @example
 * const client = createClient({ url: 'https://photos.example.org', key: () => session.token });
 * const { result } = await client.classify(file);
 */
export function createClient(options?: ClientOptions): Client<ImageInput> {
  return createClientWith(blobOf, options);
}

/** Turns bytes into a Blob; returns a Blob unchanged. */
export function blobOf(image: ImageInput): Blob {
  if (image instanceof Blob) return image;
  if (image instanceof ArrayBuffer) return new Blob([image]);
  if (image instanceof Uint8Array) return new Blob([image as Uint8Array<ArrayBuffer>]);
  throw new TypeError('Expected an image as a Blob, ArrayBuffer or Uint8Array.');
}

function endpointOf(url: string | URL): URL {
  const endpoint = new URL(url);
  if (!/^https?:$/.test(endpoint.protocol) || endpoint.username || endpoint.password) {
    throw new TypeError(
      'Invalid url: expected http:// or https://, without user and password. Pass those in `key` or `headers`.',
    );
  }
  if (endpoint.pathname === '/') endpoint.pathname = '/graphql';
  // A page's address may have a fragment, with which no WebSocket opens.
  endpoint.hash = '';
  return endpoint;
}
