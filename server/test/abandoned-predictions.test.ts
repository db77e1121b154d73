/** Predictions whose caller disconnects before it has received their id. */
import { once } from 'node:events';
import { Producer } from '@inferql/queue/predictions/producer';
import { afterEach, expect, test, vi } from 'vitest';
import { MAP, MULTIPART_HEADERS, multipart, OPERATIONS, open, send } from './http-harness.ts';
import { ENQUEUE, paint, type Server, startServer, startWorker } from './server-harness.ts';

afterEach(() => vi.restoreAllMocks());

const [ENQUEUE_OPERATIONS, DEFER_OPERATIONS] = ['', '... @defer { result { labels { index } } }'].map((more) =>
  JSON.stringify({
    query: `mutation ($image: Upload!) { classifyImage(image: $image) { ... on Prediction { id ${more} } } }`,
    variables: { image: null },
  }),
);

async function sendImage(url: string, operations: string): Promise<ReturnType<typeof send>> {
  const image = await paint(2);
  const sent = send(url, MULTIPART_HEADERS);
  sent.outgoing.end(
    multipart([
      ['operations', operations],
      ['map', MAP],
      ['0', image, 'x.png'],
    ]),
  );
  return sent;
}

/** Sends an image, and disconnects when it is queued, before the server has answered. */
async function leaveAtAdmission(server: Server, operations: string): Promise<void> {
  const url = await open(server);
  const { services } = server.components;
  const { submit } = services;
  let signal: AbortSignal | undefined;
  vi.spyOn(services, 'submit').mockImplementation((request) => {
    signal = request.signal;
    return submit.call(services, request);
  });
  const { admit } = Producer.prototype;
  const admitted = vi.spyOn(Producer.prototype, 'admit').mockImplementation(async function (this: Producer, request) {
    const outcome = await admit.call(this, request);
    outgoing.destroy();
    if (!signal!.aborted) await once(signal!, 'abort');
    return outcome;
  });
  const { outgoing, answer } = await sendImage(url, operations);
  const left = expect(answer).rejects.toThrow();
  await left;
  expect(await admitted.mock.results[0]!.value).toMatchObject({ kind: 'admitted' });
}

test.each([
  ['an id', ENQUEUE_OPERATIONS!],
  ['a deferred result', DEFER_OPERATIONS!],
])(
  'if the caller of %s leaves between admission and response, the prediction is canceled',
  async (_what, operations) => {
    const server = await startServer();
    const worker = await startWorker(server.prefix);
    worker.claiming.close();
    await leaveAtAdmission(server, operations);
    await server.queueBecame(({ ended }) => ended.CANCELED === 1);
  },
);

test('if the caller leaves while its prediction waits, the prediction is canceled', async () => {
  const server = await startServer();
  const worker = await startWorker(server.prefix);
  worker.claiming.close();
  worker.settling.close();
  const url = await open(server);
  // One keeps the worker busy.
  await server.upload(ENQUEUE, [await paint(1)]);
  const { outgoing, answer } = await sendImage(url, OPERATIONS);
  answer.catch(() => undefined);
  await server.queueBecame(({ waiting, processing }) => waiting + processing === 2);
  outgoing.destroy();
  await server.queueBecame(({ ended }) => ended.CANCELED === 1);
});

test('with INFERQL_CANCEL_ABANDONED off it continues', async () => {
  const server = await startServer({ env: { INFERQL_CANCEL_ABANDONED: 'off' } });
  const worker = await startWorker(server.prefix);
  worker.claiming.close();
  worker.settling.close();
  const { outgoing, answer } = await sendImage(await open(server), OPERATIONS);
  answer.catch(() => undefined);
  await server.queueBecame(({ waiting, processing }) => waiting + processing === 1);
  outgoing.destroy();
  worker.claiming.open();
  worker.settling.open();
  const { ended } = await server.queueBecame((queue) => queue.ended.SUCCEEDED === 1);
  expect(ended.CANCELED).toBe(0);
});
