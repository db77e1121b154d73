/** The client with a server that refuses, closes connections or is not an InferQL server. */
import { expect, test } from 'vitest';
import { createClient } from '../node.ts';
import {
  accepted,
  cut,
  events,
  fallSilent,
  json,
  keyOf,
  next,
  photo,
  refusal,
  serve,
  state,
  succeeded,
} from './scripted-server.fixture.ts';

test('after a full queue or a lost connection the client retries when the server says, with one idempotency key', async () => {
  const { client, bodies } = await serve([
    json(refusal('QUEUE_FULL', { retryAfterMs: 300 }), 503),
    cut,
    accepted,
    events(next(succeeded)),
  ]);
  const beginMs = performance.now();
  const prediction = await client.classify(photo);
  expect(performance.now() - beginMs).toBeGreaterThan(299);
  expect(prediction.result.labels[0]!.name).toBe('cat');
  const keys = bodies.slice(0, 3).map(keyOf);
  expect(keys[0]).toMatch(/^[0-9a-f-]{36}$/);
  expect(new Set(keys).size).toBe(1);
});

test('a call that fails names its idempotency key, with which a later call repeats it', async () => {
  const { client, bodies } = await serve([cut, json(refusal('UNAVAILABLE'), 503), accepted, cut, accepted]);
  const options = { retryForMs: 0 };
  const lost = await client.submit(photo, options).catch((error) => error);
  expect(lost).toMatchObject({ code: 'UNREACHABLE', idempotencyKey: keyOf(bodies[0]!) });
  const refused = await client.classify(photo, { ...options, idempotencyKey: 'mine' }).catch((error) => error);
  expect(refused).toMatchObject({ code: 'UNAVAILABLE', idempotencyKey: 'mine' });
  // Also when the image was accepted, but its end is unknown.
  const unknown = await client.classify(photo, { ...options, onState() {} }).catch((error) => error);
  expect(unknown).toMatchObject({ code: 'UNREACHABLE', idempotencyKey: keyOf(bodies[2]!) });
  await client.submit(photo, { idempotencyKey: unknown.idempotencyKey }).catch(() => {});
  expect(keyOf(bodies[4]!)).toBe(keyOf(bodies[2]!));
  expect(new Set([0, 1, 2].map((index) => keyOf(bodies[index]!))).size).toBe(3);
});

test('a call that is aborted when it reports an error does not wait for the retry', async () => {
  // Longer than a test may take.
  const { client, bodies } = await serve([json(refusal('UNAVAILABLE', { retryAfterMs: 600_000 }), 503)]);
  const stop = new AbortController();
  const options = { retryForMs: 700_000, signal: stop.signal, onRetry: () => stop.abort('enough') };
  await expect(client.models(options)).rejects.toBe('enough');
  expect(bodies).toHaveLength(1);
});

test('an image whose first progress makes the caller abort is not sent', async () => {
  const { client, bodies } = await serve([accepted]);
  const stop = new AbortController();
  const sent = client.submit(photo, { signal: stop.signal, onUploadProgress: () => stop.abort('enough') });
  await expect(sent).rejects.toBe('enough');
  expect(bodies).toEqual([]);
});

test('the end comes in the response of the upload; if that breaks off, the prediction is followed', async () => {
  const id = next({ data: { classifyImage: { __typename: 'Prediction', id: 'm.1' } }, hasNext: true });
  const end = { incremental: [{ path: ['classifyImage'], data: succeeded.data.prediction }], hasNext: false };
  const open = { incremental: [{ path: ['classifyImage'], data: state({}).data.prediction }], hasNext: false };
  const complete = 'event: complete\ndata:\n\n';
  const { client, bodies } = await serve([
    events(id, next(end), complete),
    events(id),
    events(next(succeeded)),
    events(id, next(open), complete),
    events(next(succeeded)),
  ]);
  for (let i = 0; i < 3; i++) expect((await client.classify(photo)).result.labels[0]!.name).toBe('cat');
  expect(bodies.map((body) => /(mutation|subscription) \w+/.exec(body)![0])).toEqual([
    'mutation Classify',
    'mutation Classify',
    'subscription Watch',
    'mutation Classify',
    'subscription Watch',
  ]);
});

test('Retry-After of a proxy is respected, and one that is too far away is not waited for', async () => {
  const { client, bodies } = await serve([
    (response) => response.writeHead(503, { 'retry-after': '1' }).end('<html>no</html>'),
    (response) => response.writeHead(503, { 'retry-after': '3600' }).end('<html>no</html>'),
  ]);
  const beginMs = performance.now();
  await expect(client.models()).rejects.toMatchObject({ code: 'UNAVAILABLE', retryAfterMs: 3_600_000 });
  expect(performance.now() - beginMs).toBeGreaterThan(999);
  expect(bodies).toHaveLength(2);
});

test('a refusal that the caller must fix is thrown at once, with its code and argument', async () => {
  const { client, bodies } = await serve([
    json({
      data: { classifyImage: { __typename: 'InvalidInputError', code: 'INVALID_INPUT', message: 'm', argument: 'x' } },
    }),
    json({ data: { classifyImage: { __typename: 'InvalidImageError', code: 'CORRUPT', message: 'm' } } }),
  ]);
  await expect(client.classify(photo)).rejects.toMatchObject({
    name: 'InferqlError',
    code: 'INVALID_INPUT',
    argument: 'x',
    retryable: false,
  });
  await expect(client.classify(photo)).rejects.toMatchObject({ code: 'CORRUPT' });
  expect(bodies).toHaveLength(2);
});

test('a watched prediction is followed over cut, ended and refused subscriptions, and no state is repeated', async () => {
  const { client } = await serve([
    events(next(state({ queuePosition: 2 })), next(state({ queuePosition: 1 }))),
    cut,
    events(next(state({ queuePosition: 1 })), next(refusal('UNAVAILABLE', { retryAfterMs: 1 })), 'event: complete\n\n'),
    json(refusal('UNAVAILABLE', { retryAfterMs: 1 }), 503),
    events(next(state({ status: 'PROCESSING' })), 'event: complete\ndata:\n\n'),
    events(next(succeeded), next(state({ status: 'FAILED' }))),
  ]);
  const states: string[] = [];
  for await (const { status, queuePosition } of client.watch('m.1')) states.push(`${status} ${queuePosition ?? ''}`);
  expect(states).toEqual(['QUEUED 2', 'QUEUED 1', 'PROCESSING ', 'SUCCEEDED ']);
});

test('a silent subscription is opened again', async () => {
  const { url } = await serve([
    (response) => response.writeHead(200, { 'content-type': 'text/event-stream' }).write(next(state({}))),
    events(next(succeeded)),
  ]);
  const client = createClient({ url, idleTimeoutMs: 1_500 });
  const states: string[] = [];
  for await (const { status } of client.watch('m.1')) states.push(status);
  expect(states).toEqual(['QUEUED', 'SUCCEEDED']);
});

test('an unknown id is NOT_FOUND, without a retry', async () => {
  const { client, bodies } = await serve([events(next(refusal('NOT_FOUND')), 'event: complete\ndata:\n\n')]);
  await expect(client.watch('m.1').next()).rejects.toMatchObject({ code: 'NOT_FOUND' });
  expect(bodies).toHaveLength(1);
});

test('a prediction that ends otherwise is an error that carries it', async () => {
  const error = { code: 'MODEL_FAILED', message: 'no', retryable: true };
  const { client } = await serve([
    accepted,
    events(next(state({ status: 'FAILED', error }))),
    accepted,
    events(next(state({ status: 'CANCELED' }))),
  ]);
  await expect(client.classify(photo)).rejects.toMatchObject({ code: 'MODEL_FAILED', prediction: { id: 'm.1' } });
  await expect(client.classify(photo)).rejects.toMatchObject({ code: 'CANCELED', prediction: { status: 'CANCELED' } });
});

test('an abort while the answer to the upload is on its way still cancels what was accepted', async () => {
  const abort = new AbortController();
  const { client, bodies } = await serve([
    (response, body, request) => {
      abort.abort(new Error('enough'));
      accepted(response, body, request);
    },
    json({ data: { cancelPrediction: null } }),
  ]);
  await expect(client.classify(photo, { signal: abort.signal })).rejects.toThrow('enough');
  expect(bodies[1]).toContain('cancelPrediction');
  expect(bodies[1]).toContain('"id":"m.1"');
});

test('a server of an earlier release, without the fields of outputs, is reported once and not tried again', async () => {
  const message = 'Cannot query field "heads" on type "PredictionResult".';
  const refused = { errors: [{ message, extensions: { code: 'GRAPHQL_VALIDATION_FAILED' } }] };
  const { client, bodies } = await serve([json(refused, 400)]);
  for (const call of [() => client.prediction('m.1'), () => client.classify(photo)]) {
    bodies.length = 0;
    await expect(call()).rejects.toMatchObject({ code: 'BAD_RESPONSE', message, retryable: false });
    expect(bodies).toHaveLength(1);
    expect(bodies[0]).toContain('heads');
  }
});

test('no server, and a server of another kind, are distinguished', async () => {
  const { client, url } = await serve([(response) => response.end('hello')]);
  await expect(client.queue()).rejects.toMatchObject({ code: 'BAD_RESPONSE' });
  const nobody = createClient({ url: 'http://127.0.0.1:9', retryForMs: 0 });
  await expect(nobody.queue()).rejects.toMatchObject({ code: 'UNREACHABLE' });
  const slow = createClient({ url, retryForMs: 0, requestTimeoutMs: 50 });
  fallSilent();
  await expect(slow.models()).rejects.toMatchObject({ code: 'UNREACHABLE' });
});

test('a large upload is given more time than a small one', async () => {
  let arrive = (_answer: () => void) => {};
  const arrived = new Promise<() => void>((resolve) => {
    arrive = resolve;
  });
  const { url } = await serve([
    (response, body, request) => {
      if (body.includes('subscription')) events(next(succeeded))(response, body, request);
      else if (body.length > 100_000) arrive(() => accepted(response, body, request));
    },
  ]);
  const options = { url, retryForMs: 0, requestTimeoutMs: 1_000 };
  const large = createClient(options).classify(new Uint8Array(320_000));
  const answer = await arrived;
  // Sent later, and timed out earlier. Uploads of one client share their time.
  await expect(createClient(options).classify(photo)).rejects.toMatchObject({ code: 'UNREACHABLE' });
  answer();
  expect((await large).status).toBe('SUCCEEDED');
});

test('a path that does not exist is UNREADABLE_FILE', async () => {
  const { client, bodies } = await serve([accepted]);
  for (const path of ['/nowhere/at/all.jpg', import.meta.dirname]) {
    await expect(client.classify(path)).rejects.toMatchObject({
      code: 'UNREADABLE_FILE',
    });
  }
  expect(bodies).toHaveLength(0);
});
