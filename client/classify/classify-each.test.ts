import { expect, test } from 'vitest';
import type { SucceededPrediction } from '../answers/answer-types.ts';
import {
  type Answer,
  accepted,
  events,
  json,
  next,
  photo,
  serve,
  succeeded,
} from '../requests/scripted-server.fixture.ts';
import { classifyAll, classifyEach } from './classify-each.ts';

test('of many images a bounded number is sent at once, a failure does not affect others, and the order stays', async () => {
  let running = 0;
  let most = 0;
  const submit: Answer = (response, body, request) => {
    if (body.includes('subscription Watch')) {
      running--;
      return events(next(succeeded))(response, body, request);
    }
    most = Math.max(most, ++running);
    if (!body.includes('damaged')) return accepted(response, body, request);
    running--;
    return json({ data: { classifyImage: { __typename: 'InvalidImageError', code: 'CORRUPT', message: 'm' } } })(
      response,
      body,
      request,
    );
  };
  const { client } = await serve([submit]);
  const images = Array.from({ length: 30 }, (_, i) => new File([i === 17 ? 'damaged' : 'fine'], `${i}.jpg`));
  const progress: string[] = [];
  const outcomes = await client.classifyAll(images, {
    concurrency: 4,
    onProgress: ({ done, failed, total }) => progress.push(`${done}/${total} ${failed}`),
  });
  expect(outcomes.map(({ index, error }) => (error ? error.code : index))).toEqual(
    images.map((_, index) => (index === 17 ? 'CORRUPT' : index)),
  );
  expect(outcomes.map(({ image }) => image)).toEqual(images);
  expect(most).toBe(4);
  expect(progress.at(-1)).toBe('30/30 1');
});

test('leaving a loop over outcomes cancels open predictions and closes its source', async () => {
  const canceled: string[] = [];
  let count = 0;
  let watched = 0;
  let endFirst = () => {};
  const { client } = await serve([
    (response, body, request) => {
      if (body.includes('mutation Classify')) {
        json({ data: { classifyImage: { __typename: 'Prediction', id: `m.${count++}` } } })(response, body, request);
      } else if (body.includes('subscription')) {
        if (body.includes('"id":"m.0"')) endFirst = () => events(next(succeeded))(response, body, request);
        else response.writeHead(200, { 'content-type': 'text/event-stream' }).write(':\n\n');
        // The client knows the ids of all three by then.
        if (++watched === 3) endFirst();
      } else {
        canceled.push(/m\.\d/.exec(body)![0]);
        json({ data: { cancelPrediction: null } })(response, body, request);
      }
    },
  ]);
  let closed = false;
  async function* endless() {
    try {
      for (;;) yield photo;
    } finally {
      closed = true;
    }
  }
  for await (const { prediction } of client.classifyEach(endless(), { concurrency: 3 })) {
    expect(prediction?.status).toBe('SUCCEEDED');
    break;
  }
  expect(closed).toBe(true);
  expect(canceled.sort()).toEqual(['m.1', 'm.2']);
});

/** A source of these images that then waits until it may go on. */
function openWaitingSource(...names: string[]) {
  let goOn = () => {};
  const gate = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  let close = () => {};
  const closed = new Promise<string>((resolve) => {
    close = () => resolve('closed');
  });
  async function* read() {
    try {
      for (const name of names) yield name;
      await gate;
      yield 'late';
    } finally {
      close();
    }
  }
  return { images: read(), goOn, closed, getState: () => Promise.race([closed, Promise.resolve('open')]) };
}

const classifyAtOnce = async () => ({ status: 'SUCCEEDED' }) as SucceededPrediction;

test('an abort ends a call whose source waits for its next image', async () => {
  const source = openWaitingSource('a');
  const abort = new AbortController();
  const onProgress = () => abort.abort(new Error('enough'));
  const all = classifyAll(classifyAtOnce, source.images, { signal: abort.signal, onProgress });
  await expect(all).rejects.toThrow('enough');
  expect(await source.getState()).toBe('open');
  source.goOn();
  await source.closed;
});

test('an abort while nothing but the source is awaited ends the call', async () => {
  const source = openWaitingSource();
  const abort = new AbortController();
  const all = classifyAll(classifyAtOnce, source.images, { signal: abort.signal });
  abort.abort(new Error('enough'));
  await expect(all).rejects.toThrow('enough');
});

test('an aborted call rejects even if its source ends', async () => {
  const reason = new Error('enough');
  await expect(classifyAll(classifyAtOnce, [], { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
});

test('leaving the loop does not wait for a source that waits, which ends as soon as it goes on', async () => {
  const source = openWaitingSource('a');
  for await (const { image } of classifyEach(classifyAtOnce, source.images, { concurrency: 2 })) {
    expect(image).toBe('a');
    break;
  }
  expect(await source.getState()).toBe('open');
  source.goOn();
  await source.closed;
});

test('an error of the source ends the call with that error', async () => {
  async function* failing() {
    yield 'a';
    throw new Error('The folder is gone.');
  }
  await expect(classifyAll(classifyAtOnce, failing(), { concurrency: 1 })).rejects.toThrow('The folder is gone.');
});
