/** What decoding takes of the machine if many of the largest images come at once. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ServedModel } from '@inferql/queue/contract';
import type { InferqlError } from '@inferql/queue/error-codes';
import { buildSystem } from '@inferql/testing/build';
import sharp from 'sharp';
import { expect, test } from 'vitest';
import { chooseDecodePlace } from '../decode/decode-place.ts';
import { ImageDecoder } from '../decode/image-decoder.ts';
import { inspectImage } from '../inspect/inspect.ts';

const INPUT: ServedModel['input'] = { width: 224, height: 224, channels: 3, shortSide: 256, kernel: 'linear' };
const SIDE = 8_000;
const IMAGES = 6;
/** For two of the images, of the four processes that could decode. */
const BUDGET_BYTES = 1_000e6;
const PROCESSES = 4;
/** A process with Node and the image library, before it has an image, and what its allocator keeps. */
const PROCESS_BYTES = 150e6;
const LOOK_EVERY_MS = 20;

/** Resident bytes of all decoder processes that this process has started; 0 if the system does not report it. */
function readDecoderBytes(): number {
  let sum = 0;
  if (!existsSync('/proc/self/statm')) return sum;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      const parent = Number(readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]!.split(' ')[1]);
      const isDecoder = readFileSync(`/proc/${pid}/cmdline`, 'latin1').includes('decoder-process-main');
      if (parent !== process.pid || !isDecoder) continue;
      sum += Number(readFileSync(`/proc/${pid}/statm`, 'latin1').split(' ')[1]) * 4_096;
    } catch {
      // It has ended meanwhile.
    }
  }
  return sum;
}

test('six images of 64 megapixels at once stay within the budget, and wait for it', async () => {
  const processPath = join(await buildSystem(), 'images/decode/processes/decoder-process-main.js');
  const image = sharp({ create: { width: SIDE, height: SIDE, channels: 3, background: '#c63' } });
  const file = await image.jpeg({ progressive: true }).toBuffer();
  const facts = inspectImage(file);
  expect(chooseDecodePlace(facts, file.length)).toBe('isolated');
  expect(facts.memoryBytes * 3).toBeGreaterThan(BUDGET_BYTES);
  const decoder = new ImageDecoder({
    maxPixels: SIDE * SIDE,
    concurrency: 8,
    memoryBytes: BUDGET_BYTES,
    threads: 4,
    processes: PROCESSES,
    processPath,
  });
  const most = { reserved: 0, resident: 0 };
  const look = setInterval(() => {
    most.reserved = Math.max(most.reserved, decoder.usedBytes());
    most.resident = Math.max(most.resident, readDecoderBytes());
  }, LOOK_EVERY_MS);
  try {
    const source = { read: async () => file, signal: undefined };
    const ended = await Promise.allSettled(Array.from({ length: IMAGES }, () => decoder.prepare(source, INPUT)));
    const done = ended.filter(({ status }) => status === 'fulfilled');
    expect(done.length).toBeGreaterThan(0);
    // On a slow machine the last ones are refused in time, to be sent again.
    for (const one of ended) {
      if (one.status === 'rejected') expect((one.reason as InferqlError).code).toBe('UNAVAILABLE');
    }
    expect(most.reserved).toBeGreaterThan(facts.memoryBytes);
    expect(most.reserved).toBeLessThanOrEqual(BUDGET_BYTES);
    expect(most.resident).toBeLessThan(BUDGET_BYTES + PROCESSES * PROCESS_BYTES);
    await expect.poll(() => decoder.usedBytes()).toBe(0);
  } finally {
    clearInterval(look);
    decoder.close();
  }
});
