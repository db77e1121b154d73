import { EventEmitter } from 'node:events';
import sharp, { type Sharp } from 'sharp';
import { expect, test } from 'vitest';
import { readAnswer, uploadRequest } from '../test/requests.ts';
import { atEnd, CLASSIFY, paint, startWorker, testRedis } from '../test/server-harness.ts';

/** What a library could change for everyone in its process. */
async function describeProcess() {
  return {
    sharp: { options: sharp.cache(), concurrency: sharp.concurrency(), simd: sharp.simd() },
    // Blocked, it could not be read as what it is.
    gainMap: (await sharp(await hdrPicture).metadata()).gainMap !== undefined,
    environment: { ...process.env },
    listeners: process.eventNames().map((name) => [String(name), process.listenerCount(name)]),
    streams: [process.stdout, process.stderr].map((stream) => stream.listenerCount('error')),
    console: [console.log, console.warn, console.error],
    maxListeners: EventEmitter.defaultMaxListeners,
    folder: process.cwd(),
    umask: process.umask(),
  };
}

/** Without what changes with each image. */
function withoutCounters(state: Awaited<ReturnType<typeof describeProcess>>) {
  const { memory, files, items } = state.sharp.options;
  return { ...state, sharp: { ...state.sharp, options: [memory.max, files.max, items.max] } };
}

const hdrPicture = sharp({ create: { width: 64, height: 48, channels: 3, background: '#c81e3c' } })
  .jpeg()
  .toBuffer()
  // It is missing in the library's types.
  .then((plain) => (sharp(plain) as Sharp & { withGainMap(): Sharp }).withGainMap().jpeg().toBuffer());

test('an instance that classifies changes nothing in its host process', async () => {
  await startWorker('host');
  const before = withoutCounters(await describeProcess());
  const { createInferQL } = await import('./create-inferql.ts');
  const inferql = createInferQL({ redisUrl: testRedis().url, prefix: 'host' });
  atEnd(() => inferql.stop());
  for (const image of [await paint(40), await hdrPicture]) {
    const request = new Request('http://app.test/graphql', uploadRequest(CLASSIFY, [image]));
    const { data } = await readAnswer<{ classifyImage: { __typename: string } }>(await inferql.fetch(request));
    expect(data?.classifyImage.__typename).toBe('Prediction');
  }
  expect(withoutCounters(await describeProcess())).toEqual(before);
  await inferql.stop();
  expect(withoutCounters(await describeProcess())).toEqual(before);
});
