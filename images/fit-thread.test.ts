import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { buildSystem } from '@inferql/testing/build';
import { beforeAll, expect, onTestFinished, test } from 'vitest';
import { type FitRule, fitPixels } from './fit-pixels.ts';
import { createFitThread } from './fit-thread.ts';
import { drawPixels } from './resize/golden/golden.fixture.ts';

const RULE: FitRule = { width: 224, height: 224, channels: 3, shortSide: 256, resize: 'pillow-bilinear' };
/** How a request fails whose thread exits with code 3: the image is not to blame. */
const ENDED = {
  code: 'UNAVAILABLE',
  cause: expect.objectContaining({ message: expect.stringMatching(/ended with code 3/) }),
};

let buildDir: string;
let mainPath: string;

beforeAll(async () => {
  buildDir = await buildSystem();
  mainPath = path.join(buildDir, 'images/fit-thread-main.js');
});

test('a large image is fitted in another thread, with the same bytes, and its memory is moved there', async () => {
  const thread = createFitThread(mainPath);
  const expected = fitPixels(drawPixels(1000, 800, 3), RULE);
  const sources = [drawPixels(1000, 800, 3), drawPixels(1000, 800, 3)];
  const results = await Promise.all(sources.map((source) => thread.fit(source, RULE)));
  for (const pixels of results) expect(Buffer.compare(pixels, expected)).toBe(0);
  expect(sources.map(({ data }) => data.length)).toEqual([0, 0]);
  await thread.close();
});

test('a small one is fitted here', async () => {
  const thread = createFitThread(path.join(buildDir, 'missing.js'));
  const source = drawPixels(300, 200, 3);
  expect(Buffer.compare(await thread.fit(source, RULE), fitPixels(source, RULE))).toBe(0);
  expect(source.data.length).toBe(300 * 200 * 3);
});

test('what fails here or in the thread is not blamed on the image, and the thread continues', async () => {
  const thread = createFitThread(mainPath);
  const wrong = { ...RULE, resize: 'no-such' as 'canvas' };
  const refusal = { code: 'INTERNAL_SERVER_ERROR', cause: expect.any(TypeError) };
  await expect(thread.fit(drawPixels(1000, 800, 3), wrong)).rejects.toMatchObject(refusal);
  await expect(thread.fit(drawPixels(100, 80, 3), wrong)).rejects.toMatchObject(refusal);
  // Its weights would take more memory than an array can have.
  const huge = { ...RULE, shortSide: 2 ** 33, width: 2 ** 33 };
  const lacking = { code: 'UNAVAILABLE', retryAfterMs: expect.any(Number), cause: expect.any(RangeError) };
  await expect(thread.fit(drawPixels(1000, 800, 3), huge)).rejects.toMatchObject(lacking);
  await expect(thread.fit(drawPixels(100, 80, 3), huge)).rejects.toMatchObject(lacking);
  expect(await thread.fit(drawPixels(1000, 800, 3), RULE)).toHaveLength(224 * 224 * 3);
  await thread.close();
});

test('a thread that dies fails its tasks, and is replaced', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'inferql-thread-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const dying = path.join(folder, 'dying.mjs');
  writeFileSync(
    dying,
    `import { parentPort } from 'node:worker_threads'; parentPort.on('message', () => process.exit(3));`,
  );
  const thread = createFitThread(dying);
  const large = () => thread.fit(drawPixels(1000, 800, 3), RULE);
  await expect(Promise.all([large(), large()])).rejects.toMatchObject(ENDED);
  await expect(large()).rejects.toMatchObject(ENDED);
});
