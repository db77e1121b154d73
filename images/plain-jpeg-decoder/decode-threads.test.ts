import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { buildSystem } from '@inferql/testing/build';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { createDecodeThreads } from './decode-threads.ts';
import { preparePlainJpeg } from './model-pixels.ts';

const OPTIONS = {
  ignoreIcc: true,
  rule: { width: 32, height: 32, channels: 3, shortSide: 40, resize: 'pillow-bilinear' },
} as const;
const readSample = (name: string) => readFileSync(path.join(import.meta.dirname, 'samples', name));
/** How a request fails whose thread exits with code 3: the image is not to blame. */
const ENDED = {
  code: 'UNAVAILABLE',
  cause: expect.objectContaining({ message: expect.stringMatching(/ended with code 3/) }),
};

let mainPath: string;
beforeAll(async () => {
  mainPath = path.join(await buildSystem(), 'images/plain-jpeg-decoder/decode-thread-main.js');
});

test('threads give the same bytes, and leave the file as it is', async () => {
  const threads = createDecodeThreads(mainPath, 2);
  onTestFinished(() => threads.close());
  const names = ['420-95x61.jpg', '422-33x50.jpg', '444-95x61.jpg', 'gray-33x50.jpg', '420-restarts-95x61.jpg'];
  const files = names.map(readSample);
  const prepared = await Promise.all(files.map((file) => threads.prepare(file, OPTIONS)));
  for (const [i, file] of files.entries()) {
    expect(Buffer.compare(file, readSample(names[i]!))).toBe(0);
    expect(Buffer.compare(prepared[i]!, preparePlainJpeg(file, OPTIONS)!), names[i]).toBe(0);
  }
});

test('what is left to the general decoder is so in a thread, too', async () => {
  const threads = createDecodeThreads(mainPath, 1);
  onTestFinished(() => threads.close());
  const file = readSample('420-95x61.jpg');
  expect(await threads.prepare(file.subarray(0, 700), OPTIONS)).toBeUndefined();
  expect(await threads.prepare(file, OPTIONS)).toHaveLength(32 * 32 * 3);
});

test('a thread that dies fails its tasks, and is replaced', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'inferql-threads-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const dying = path.join(folder, 'dying.mjs');
  writeFileSync(
    dying,
    `import { parentPort } from 'node:worker_threads'; parentPort.on('message', () => process.exit(3));`,
  );
  const threads = createDecodeThreads(dying, 1);
  const file = readSample('gray-8x8.jpg');
  await expect(threads.prepare(file, OPTIONS)).rejects.toMatchObject(ENDED);
  await expect(threads.prepare(file, OPTIONS)).rejects.toMatchObject(ENDED);
});
