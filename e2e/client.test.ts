/** The typed client against servers and workers as they are shipped. */

import { createClient, type Prediction } from '@inferql/client/node';
import { expectedClass, makePicture } from '@inferql/testing/data/test-images';
import { scriptedModel, startSystem, type TestSystem } from '@inferql/testing/system/system';
import { afterAll, beforeAll, expect, test } from 'vitest';

let system: TestSystem;
let nextPicture = 0;

/** A picture that was not sent before, so that no cache answers. */
function newPicture(): { picture: Uint8Array; label: string } {
  const n = nextPicture++;
  return { picture: makePicture(n), label: `class ${expectedClass(n)}` };
}

beforeAll(async () => {
  system = await startSystem({
    models: [
      scriptedModel({ script: { throwOn: [255] }, queue: { maxQueueSize: 10 } }),
      scriptedModel({ name: 'slow', script: { waitMsPerImage: 50 } }),
    ],
  });
});

afterAll(async () => {
  await system?.end();
});

/** Holds all work until the test releases it. */
async function whileWorkerStands<T>(act: () => Promise<T>): Promise<T> {
  system.workers[0]!.pause();
  try {
    return await act();
  } finally {
    system.workers[0]!.resume();
  }
}

test('an image comes back as a finished prediction, and the same by its id', async () => {
  const client = createClient({ url: system.url });
  const { picture, label } = newPicture();
  const states: Prediction[] = [];
  const prediction = await client.classify(picture, { model: 'scripted', topK: 3, onState: (s) => states.push(s) });
  expect(prediction).toMatchObject({ status: 'SUCCEEDED', model: 'scripted', priority: 'NORMAL', attempts: 1 });
  expect(prediction.result.labels).toHaveLength(3);
  expect(prediction.result.labels[0]!.name).toBe(label);
  expect(states.at(-1)).toEqual(prediction);
  expect(await client.prediction(prediction.id, { topK: 3 })).toEqual(prediction);
  // If nobody asks for intermediate states, the end comes in the response of the upload.
  const other = newPicture();
  const quick = await client.classify(other.picture, { model: 'scripted' });
  expect(quick.result.labels[0]!.name).toBe(other.label);
  expect(await client.prediction(quick.id)).toEqual(quick);
  expect(await client.prediction('scripted.AAAAAAAAAAAAAAAAAAAAAA')).toBeNull();
});

test('refusals and failures have codes', async () => {
  const client = createClient({ url: system.url });
  const { picture } = newPicture();
  const text = new Uint8Array(Buffer.from('no image'));
  await expect(client.classify(text)).rejects.toMatchObject({ code: 'UNSUPPORTED_FORMAT' });
  await expect(client.classify(new Blob([]))).rejects.toMatchObject({ code: 'EMPTY' });
  await expect(client.classify(picture, { model: 'none' })).rejects.toMatchObject({ code: 'MODEL_NOT_FOUND' });
  await expect(client.classify(picture, { timeoutMs: 0 })).rejects.toMatchObject({
    code: 'INVALID_INPUT',
    argument: 'timeoutMs',
  });
  await expect(client.watch('scripted.AAAAAAAAAAAAAAAAAAAAAA').next()).rejects.toMatchObject({ code: 'NOT_FOUND' });
});

test('if the queue is full, the client waits as long as the server says, and all work is done', async () => {
  const client = createClient({ url: system.url });
  const work = Array.from({ length: 60 }, newPicture);
  const outcomes = await client.classifyAll(
    work.map(({ picture }) => picture),
    { model: 'scripted', concurrency: 40 },
  );
  expect(outcomes.map(({ prediction, error }) => prediction?.result.labels[0]?.name ?? error)).toEqual(
    work.map(({ label }) => label),
  );
});

test('an abort reaches the server: the prediction ends CANCELED', async () => {
  const client = createClient({ url: system.url });
  const abort = new AbortController();
  const id = await whileWorkerStands(async () => {
    let seen = '';
    const classified = client.classify(newPicture().picture, {
      model: 'slow',
      signal: abort.signal,
      onState: (state) => {
        seen = state.id;
        abort.abort(new Error('changed my mind'));
      },
    });
    await expect(classified).rejects.toThrow('changed my mind');
    // The client waits at most two seconds for the server to take note.
    await expect.poll(async () => (await client.prediction(seen))?.status).toBe('CANCELED');
    return seen;
  });
  expect(await client.prediction(id)).toMatchObject({ status: 'CANCELED' });
});

test('cancel ends a prediction, and the call that classifies it learns so', async () => {
  const client = createClient({ url: system.url });
  await whileWorkerStands(async () => {
    const classified = client.classify(newPicture().picture, {
      model: 'slow',
      onState: ({ id, status }) => {
        if (status === 'QUEUED') void client.cancel(id);
      },
    });
    await expect(classified).rejects.toMatchObject({ code: 'CANCELED', prediction: { status: 'CANCELED' } });
  });
});

test.each(['stop', 'kill9'] as const)('open predictions survive the end of a server (%s)', async (way) => {
  const client = createClient({ url: system.url });
  const work = Array.from({ length: 12 }, newPicture);
  const states: string[] = [];
  let restarted: Promise<void> | undefined;
  const outcomes = await client.classifyAll(
    work.map(({ picture }) => picture),
    {
      model: 'slow',
      concurrency: 6,
      onProgress: ({ done }) => {
        if (done !== 3) return;
        restarted = (async () => {
          await system.servers[0]![way]();
          await system.servers[0]!.restart();
        })();
      },
    },
  );
  await restarted;
  expect(outcomes.map(({ prediction, error }) => prediction?.result.labels[0]?.name ?? error)).toEqual(
    work.map(({ label }) => label),
  );
  for await (const { status } of client.watch(outcomes[0]!.prediction!.id)) states.push(status);
  expect(states).toEqual(['SUCCEEDED']);
});

test('a watch that begins before a restart of the server sees the end after it', async () => {
  const client = createClient({ url: system.url });
  const { picture, label } = newPicture();
  let id = '';
  const first = await whileWorkerStands(async () => {
    const ended = client.classify(picture, {
      model: 'slow',
      onState: (state) => {
        id = state.id;
      },
    });
    for await (const { waiting } of client.watchQueue('slow')) if (waiting > 0 && id) break;
    const watch = client.watch(id);
    expect((await watch.next()).value).toMatchObject({ id, status: 'QUEUED' });
    await system.servers[0]!.restart();
    return { ended, watch };
  });
  const states: Prediction[] = [];
  for await (const state of first.watch) states.push(state);
  expect(states.at(-1)).toMatchObject({ status: 'SUCCEEDED', result: { labels: [{ name: label }, {}, {}, {}, {}] } });
  expect((await first.ended).id).toBe(id);
});

test('models and queues are read, and changes of a queue are reported', async () => {
  const client = createClient({ url: system.url });
  const models = await client.models();
  expect(models.map(({ name }) => name)).toEqual(['scripted', 'slow']);
  // The worker may have been stopped for longer than a heartbeat's lifetime.
  const idle = { model: 'slow', waiting: 0, workers: [{ engine: 'scripted' }] };
  await expect.poll(() => client.queue('slow')).toMatchObject(idle);
  expect(await client.queue('none')).toBeNull();
});
