import { setMaxListeners } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ServedModel } from '@inferql/queue/contract';
import { buildSystem } from '@inferql/testing/build';
import sharp from 'sharp';
import { afterEach, beforeAll, describe, expect, test } from 'vitest';
import { inspectImage } from '../inspect/inspect.ts';
import { prepareImage } from '../preprocess.ts';
import { chooseDecodePlace } from './decode-place.ts';
import { writeManyScans } from './hostile-jpeg.fixture.ts';
import { ImageDecoder } from './image-decoder.ts';
import { DecoderPool } from './processes/decoder-pool.ts';

const INPUT: ServedModel['input'] = { width: 224, height: 224, channels: 3, shortSide: 256, kernel: 'linear' };
const MAX_PIXELS = 64_000_000;

let buildDir: string;
let processPath: string;
let large: Buffer;
beforeAll(async () => {
  large = await drawLarge();
  buildDir = await buildSystem();
  processPath = join(buildDir, 'images/decode/processes/decoder-process-main.js');
});

/** Costs slightly more than what is decoded in this process. */
async function drawLarge(): Promise<Buffer> {
  const image = sharp('models/samples/rocket.jpg').resize(5_000, 5_000, { fit: 'fill' });
  return image.png({ progressive: true, compressionLevel: 1 }).toBuffer();
}

describe('a decoder process', () => {
  let pool: DecoderPool;
  afterEach(() => pool?.close());
  const request = (file: Buffer, signal: AbortSignal, released: () => void = () => undefined) => ({
    read: async () => file,
    reserve: async () => released,
    input: INPUT,
    costMs: 1_000,
    memoryBytes: 500e6,
    signal,
  });

  test('gives the pixels that this process gives, and the same errors', async () => {
    pool = new DecoderPool({ size: 1, processPath });
    const { signal } = new AbortController();
    expect(await pool.decode(request(large, signal))).toEqual(await prepareImage(large, INPUT, MAX_PIXELS));
    await expect(pool.decode(request(large.subarray(0, large.length >> 1), signal))).rejects.toMatchObject({
      code: 'CORRUPT',
    });
  });

  test('is ended in the middle of a decoder that does not stop, and replaced', async () => {
    pool = new DecoderPool({ size: 1, processPath });
    const limit = new AbortController();
    // Hours of work that no time limit inside the library interrupts.
    const endless = writeManyScans({ side: 8_000, coefficients: 63, bits: 14 });
    let isReserved = true;
    const running = pool.decode(
      request(endless, limit.signal, () => {
        isReserved = false;
      }),
    );
    const next = pool.decode(request(large, new AbortController().signal));
    expect(pool.backlogMs()).toBe(2_000);
    limit.abort(new Error('too late'));
    await expect(running).rejects.toThrow('too late');
    expect(isReserved).toBe(false);
    expect((await next).length).toBe(224 * 224 * 3);
    expect(pool.backlogMs()).toBe(0);
  });

  test('that cannot start is not blamed on the image: it may be sent again', async () => {
    pool = new DecoderPool({ size: 1, processPath: join(buildDir, 'missing.js') });
    await expect(pool.decode(request(large, new AbortController().signal))).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      retryAfterMs: expect.any(Number),
    });
  });

  test('that crashes twice at the same image means that the image is CORRUPT', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'inferql-decoder-'));
    try {
      const crashing = join(folder, 'crashing.mjs');
      await writeFile(crashing, "process.send('ready');\nprocess.on('message', () => process.abort());\n");
      pool = new DecoderPool({ size: 1, processPath: crashing });
      const decoding = pool.decode(request(large, new AbortController().signal));
      await expect(decoding).rejects.toMatchObject({ code: 'CORRUPT' });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});

describe('the decoder of a server', () => {
  let decoder: ImageDecoder;
  afterEach(() => decoder?.close());
  const open = (options: { memoryBytes?: number } = {}) => {
    const limits = { maxPixels: MAX_PIXELS, concurrency: 4, memoryBytes: 512e6, threads: 4, processes: 1 };
    decoder = new ImageDecoder({ ...limits, processPath, ...options });
    return decoder;
  };
  const source = (file: Buffer, signal?: AbortSignal) => ({ read: async () => file, signal });

  test('images of every place are decoded as by prepareImage, and all memory is released', async () => {
    open();
    const small = await sharp('models/samples/rocket.jpg').resize(500).jpeg().toBuffer();
    const medium = await sharp('models/samples/rocket.jpg').resize(4_000).jpeg({ progressive: true }).toBuffer();
    const files = { quick: small, medium, isolated: large };
    for (const [place, file] of Object.entries(files))
      expect(chooseDecodePlace(inspectImage(file), file.length)).toBe(place);
    const prepared = await Promise.all(Object.values(files).map((file) => decoder.prepare(source(file), INPUT)));
    const expected = await Promise.all(Object.values(files).map((file) => prepareImage(file, INPUT, MAX_PIXELS)));
    expect(prepared).toEqual(expected);
    expect(decoder.usedBytes()).toBe(0);
  });

  test('an image that needs more memory than the whole budget is TOO_COMPLEX', async () => {
    open({ memoryBytes: 64e6 });
    await expect(decoder.prepare(source(large), INPUT)).rejects.toMatchObject({ code: 'TOO_COMPLEX' });
  });

  test('more expensive images than can be decoded in time are refused at once as retryable; small ones pass', async () => {
    open();
    const costMs = inspectImage(large).costMs;
    const leave = new AbortController();
    // As the server does it for a request with many images.
    setMaxListeners(0, leave.signal);
    const count = Math.ceil(30_000 / costMs) + 2;
    const all = Array.from({ length: count }, () => decoder.prepare(source(large, leave.signal), INPUT));
    const settled = Promise.allSettled(all);
    const refused = await Promise.any(
      all.map((one) =>
        one.then(
          () => Promise.reject(new Error('decoded')),
          (error) => error,
        ),
      ),
    );
    expect(refused).toMatchObject({ code: 'UNAVAILABLE', retryAfterMs: expect.any(Number) });
    const small = await sharp('models/samples/rocket.jpg').resize(500).jpeg().toBuffer();
    expect((await decoder.prepare(source(small), INPUT)).length).toBe(224 * 224 * 3);
    leave.abort();
    for (const one of await settled) {
      if (one.status === 'rejected') expect(one.reason).toMatchObject({ code: 'UNAVAILABLE' });
    }
    await expect.poll(() => decoder.usedBytes()).toBe(0);
  });
});
